package assertiond.client;

import assertion.v1.AssertionServiceGrpc.AssertionServiceStub;
import assertion.v1.CreateAssertionRequest;
import assertion.v1.CreateAssertionResponse;
import assertion.v1.CreateAssertionsRequest;
import assertion.v1.CreateAssertionsResponse;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Sends requests without waiting for the answers. At most 256 are in flight; others wait for a place. Opens the stream
 * anew after it broke. Usable from many threads.
 */
public final class AssertionStream implements AutoCloseable {
  private static final int IN_FLIGHT = 256; // what the server takes on one stream
  private static final Duration LONGEST_WAIT = Duration.ofSeconds(30); // what the server lets a request wait

  private final AssertionServiceStub stub;
  private final Retries retries;
  private final Duration timeout;
  private final Set<CompletableFuture<?>> submitted = ConcurrentHashMap.newKeySet();

  // Guarded by this.
  private final Deque<Runnable> waiting = new ArrayDeque<>();
  private int free = IN_FLIGHT;
  private Connection connection;
  private boolean closed;
  private long tag;

  AssertionStream(AssertionServiceStub stub, Retries retries, Duration timeout) {
    this.stub = stub;
    this.retries = retries;
    this.timeout = timeout;
  }

  /** The future fails with {@link AssertiondException}. A request is repeated as a call is, until its deadline. */
  public CompletableFuture<CreateAssertionResponse> submit(CreateAssertionRequest request) {
    Client.checkThere(request);
    synchronized (this) {
      if (closed) {
        throw new IllegalStateException("the stream is closed");
      }
      var answer = retries.repeat(timeout, left -> attempt(request, left));
      submitted.add(answer);
      answer.whenComplete((reply, failure) -> submitted.remove(answer));
      return answer;
    }
  }

  /** Takes no more requests and waits for the answers that are owed: each comes, or fails, by its deadline. */
  @Override
  public void close() {
    Connection last;
    synchronized (this) {
      closed = true;
    }
    CompletableFuture.allOf(submitted.toArray(CompletableFuture[]::new)).exceptionally(failure -> null).join();
    synchronized (this) {
      last = connection;
    }
    if (last != null) {
      last.finish(timeout);
    }
  }

  private CompletableFuture<CreateAssertionResponse> attempt(CreateAssertionRequest request, Duration left) {
    var answer = new CompletableFuture<CreateAssertionResponse>();
    long deadline = System.nanoTime() + left.toNanos();
    // The server keeps the time too. This limit is for a server that does not answer at all.
    retries.limit(answer, left, "assertiond did not answer in time");
    Runnable send = () -> send(request, deadline, answer);
    synchronized (this) {
      if (free == 0) {
        waiting.add(send);
        answer.whenComplete((reply, failure) -> forget(send));
        return answer;
      }
      free--;
    }
    send.run();
    return answer;
  }

  private synchronized void forget(Runnable send) {
    waiting.remove(send);
  }

  /** Hands a place to the request that waits longest. */
  private void release() {
    Runnable next;
    synchronized (this) {
      next = waiting.poll();
      if (next == null) {
        free++;
        return;
      }
    }
    next.run();
  }

  private void send(CreateAssertionRequest request, long deadline, CompletableFuture<CreateAssertionResponse> answer) {
    long left = Math.max(1, Math.min(deadline - System.nanoTime(), LONGEST_WAIT.toNanos()));
    var message = CreateAssertionsRequest.newBuilder().setAssertion(request);
    message.getTimeoutBuilder().setSeconds(left / 1_000_000_000).setNanos((int) (left % 1_000_000_000));
    synchronized (this) {
      message.setTag(++tag);
      while (connection == null || !connection.send(message.build(), answer)) {
        connection = new Connection();
      }
    }
  }

  /** One call of CreateAssertions and the answers that it owes. */
  private final class Connection implements StreamObserver<CreateAssertionsResponse> {
    private final Map<Long, CompletableFuture<CreateAssertionResponse>> owed = new HashMap<>(); // guarded by this
    private final CompletableFuture<Void> ended = new CompletableFuture<>();
    private final StreamObserver<CreateAssertionsRequest> requests = stub.createAssertions(this);
    private boolean broken; // guarded by this

    /** Returns false if the stream has ended: nothing was sent then. */
    synchronized boolean send(CreateAssertionsRequest request, CompletableFuture<CreateAssertionResponse> answer) {
      if (broken) {
        return false;
      }
      owed.put(request.getTag(), answer);
      requests.onNext(request);
      return true;
    }

    void finish(Duration limit) {
      synchronized (this) {
        if (!broken) {
          broken = true;
          requests.onCompleted();
        }
      }
      try {
        ended.get(limit.toNanos(), TimeUnit.NANOSECONDS);
      } catch (TimeoutException e) {
        ((ClientCallStreamObserver<CreateAssertionsRequest>) requests).cancel("the stream was closed", null);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (ExecutionException e) {
        throw new IllegalStateException(e); // it never fails
      }
    }

    @Override
    public void onNext(CreateAssertionsResponse reply) {
      CompletableFuture<CreateAssertionResponse> answer;
      synchronized (this) {
        answer = owed.remove(reply.getTag());
      }
      if (answer == null) {
        return;
      }
      release();
      if (reply.hasAssertion()) {
        answer.complete(reply.getAssertion());
      } else {
        answer.completeExceptionally(AssertiondException.of(reply.getError()));
      }
    }

    @Override
    public void onError(Throwable failure) {
      end(AssertiondException.of(failure));
    }

    @Override
    public void onCompleted() {
      end(new AssertiondException(Status.Code.UNAVAILABLE, "the server ended the stream", null));
    }

    private void end(AssertiondException failure) {
      List<CompletableFuture<CreateAssertionResponse>> unanswered;
      synchronized (this) {
        broken = true;
        unanswered = new ArrayList<>(owed.values());
        owed.clear();
      }
      for (var answer : unanswered) {
        release();
        answer.completeExceptionally(failure);
      }
      ended.complete(null);
    }
  }
}
