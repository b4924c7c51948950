package assertiond.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** Repeats attempts until they succeed, fail for good, or have no time left; and keeps the time of those that wait. */
final class Retries implements AutoCloseable {
  private static final Duration FIRST_PAUSE = Duration.ofMillis(50);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(1);

  private final Runnable beforeRetry;
  private final Set<CompletableFuture<?>> open = ConcurrentHashMap.newKeySet();
  private final ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1, task -> {
    var thread = new Thread(task, "assertiond-timer");
    thread.setDaemon(true);
    return thread;
  });
  private volatile boolean closed;

  /** beforeRetry: runs before each attempt but the first. */
  Retries(Runnable beforeRetry) {
    this.beforeRetry = beforeRetry;
    timer.setRemoveOnCancelPolicy(true);
  }

  /** attempt: gets the time that is left. The future fails with AssertiondException. */
  <Reply> CompletableFuture<Reply> repeat(Duration timeout, Function<Duration, CompletableFuture<Reply>> attempt) {
    var answer = new CompletableFuture<Reply>();
    open.add(answer);
    answer.whenComplete((reply, failure) -> open.remove(answer));
    if (closed) {
      throw new IllegalStateException("the client is closed");
    }
    start(answer, System.nanoTime() + timeout.toNanos(), FIRST_PAUSE, attempt);
    return answer;
  }

  /** Fails a future that is not complete by then. */
  void limit(CompletableFuture<?> answer, Duration left, String message) {
    var timeout = timer.schedule(
        () -> answer.completeExceptionally(AssertiondException.late(message)), left.toNanos(), TimeUnit.NANOSECONDS);
    answer.whenComplete((reply, failure) -> timeout.cancel(false));
  }

  private <Reply> void start(CompletableFuture<Reply> answer, long deadline, Duration pause,
      Function<Duration, CompletableFuture<Reply>> attempt) {
    var left = Duration.ofNanos(Math.max(1, deadline - System.nanoTime()));
    CompletableFuture<Reply> attempted;
    try {
      attempted = attempt.apply(left);
    } catch (RejectedExecutionException e) { // closed meanwhile: the timer takes no more
      answer.completeExceptionally(closing());
      return;
    }
    attempted.whenComplete((reply, failure) -> {
      if (failure == null) {
        answer.complete(reply);
        return;
      }
      var error = AssertiondException.of(failure instanceof CompletionException ? failure.getCause() : failure);
      // Jitter, so that callers refused together do not come back together. Never earlier than the server asks.
      double random = ThreadLocalRandom.current().nextDouble();
      long wait = error.retryAfter()
          .map(delay -> (long) (delay.toNanos() * (1 + random / 5)))
          .orElse((long) (pause.toNanos() * (0.5 + random / 2)));
      if (!error.retryable() || System.nanoTime() + wait - deadline >= 0) {
        answer.completeExceptionally(error);
        return;
      }
      var next = pause.multipliedBy(2).compareTo(LONGEST_PAUSE) < 0 ? pause.multipliedBy(2) : LONGEST_PAUSE;
      try {
        timer.schedule(() -> {
          beforeRetry.run();
          start(answer, deadline, next, attempt);
        }, wait, TimeUnit.NANOSECONDS);
      } catch (RejectedExecutionException e) { // closed meanwhile
        answer.completeExceptionally(error);
      }
    });
  }

  /** Fails what waits. */
  @Override
  public void close() {
    closed = true;
    timer.shutdownNow();
    for (var answer : open) {
      answer.completeExceptionally(closing());
    }
  }

  private static AssertiondException closing() {
    return new AssertiondException(Status.Code.CANCELLED, "the client was closed", null);
  }
}
