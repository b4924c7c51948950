package assertiond

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"assertiond/client/internal/wire"
)

// Error says that assertiond refused the request or could not be reached.
type Error struct {
	Code       codes.Code
	Message    string
	RetryAfter time.Duration // how long the server asks to wait; 0 if it does not say
}

func (e *Error) Error() string { return "assertiond: " + e.CodeName() + ": " + e.Message }

// Retryable reports whether the same request may succeed later.
func (e *Error) Retryable() bool {
	return e.Code == codes.ResourceExhausted || e.Code == codes.Unavailable
}

var codeNames = [...]string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
	"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

// CodeName is the code as the API reference writes it, for example PERMISSION_DENIED.
func (e *Error) CodeName() string {
	if int(e.Code) < len(codeNames) {
		return codeNames[e.Code]
	}
	return "UNKNOWN"
}

type detail interface {
	GetTypeUrl() string
	GetValue() []byte
}

func retryAfter(d detail) time.Duration {
	info := new(wire.RetryInfo)
	if !strings.HasSuffix(d.GetTypeUrl(), "/google.rpc.RetryInfo") || proto.Unmarshal(d.GetValue(), info) != nil {
		return 0
	}
	delay := info.GetRetryDelay()
	return time.Duration(delay.GetSeconds())*time.Second + time.Duration(delay.GetNanos())
}

// errorOf turns the error of a gRPC call into an Error.
func errorOf(err error) *Error {
	var made *Error
	switch {
	case errors.As(err, &made):
		return made
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: codes.DeadlineExceeded, Message: "assertiond did not answer in time"}
	case errors.Is(err, context.Canceled):
		return &Error{Code: codes.Canceled, Message: "the call was cancelled"}
	}
	its := status.Convert(err)
	made = &Error{Code: its.Code(), Message: its.Message()}
	for _, d := range its.Proto().GetDetails() {
		made.RetryAfter += retryAfter(d)
	}
	return made
}

// errorIn is the Error of a status on the stream.
func errorIn(its *wire.Status) *Error {
	made := &Error{Code: codes.Code(its.GetCode()), Message: its.GetMessage()}
	for _, d := range its.GetDetails() {
		made.RetryAfter += retryAfter(d)
	}
	return made
}
