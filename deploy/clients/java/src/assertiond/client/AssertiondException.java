package assertiond.client;

import assertiond.client.wire.ErrorDetails.RetryInfo;
import assertiond.client.wire.StatusOuterClass;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** assertiond refused the request or could not be reached. */
public final class AssertiondException extends RuntimeException {
  private static final long serialVersionUID = 1;
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private final Status.Code code;
  private final Duration retryAfter;

  AssertiondException(Status.Code code, String message, Duration retryAfter) {
    super("assertiond: " + code + ": " + message);
    this.code = code;
    this.retryAfter = retryAfter;
  }

  public Status.Code code() {
    return code;
  }

  /** How long the server asks to wait. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  /** Whether the same request may succeed later. */
  public boolean retryable() {
    return code == Status.Code.RESOURCE_EXHAUSTED || code == Status.Code.UNAVAILABLE;
  }

  static AssertiondException late(String message) {
    return new AssertiondException(Status.Code.DEADLINE_EXCEEDED, message, null);
  }

  /** The exception of a failed call. */
  static AssertiondException of(Throwable failure) {
    if (failure instanceof AssertiondException made) {
      return made;
    }
    Status status = Status.fromThrowable(failure);
    Metadata trailers = Status.trailersFromThrowable(failure);
    byte[] details = trailers == null ? null : trailers.get(DETAILS);
    Duration delay = null;
    if (details != null) {
      try {
        delay = retryAfter(StatusOuterClass.Status.parseFrom(details).getDetailsList());
      } catch (InvalidProtocolBufferException e) {
        delay = null; // the code and the message still tell what was wrong
      }
    }
    String message = status.getDescription() == null ? "no details" : status.getDescription();
    return new AssertiondException(status.getCode(), message, delay);
  }

  /** The exception of a status on the stream. */
  static AssertiondException of(StatusOuterClass.Status status) {
    Duration delay;
    try {
      delay = retryAfter(status.getDetailsList());
    } catch (InvalidProtocolBufferException e) {
      delay = null;
    }
    return new AssertiondException(Status.fromCodeValue(status.getCode()).getCode(), status.getMessage(), delay);
  }

  private static Duration retryAfter(List<Any> details) throws InvalidProtocolBufferException {
    for (Any detail : details) {
      if (detail.getTypeUrl().endsWith("/google.rpc.RetryInfo")) {
        var delay = RetryInfo.parseFrom(detail.getValue()).getRetryDelay();
        return Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
      }
    }
    return null;
  }
}
