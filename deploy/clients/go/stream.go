package assertiond

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/golang/protobuf/ptypes/duration"
	"google.golang.org/grpc/codes"

	"assertiond/client/internal/wire"
)

const (
	inFlight    = 256              // what the server takes on one stream
	longestWait = 30 * time.Second // what the server lets a request wait
)

var errClosed = errors.New("assertiond: the stream is closed")

type outcome struct {
	reply *CreateAssertionResponse
	err   error
}

// connection is one call of CreateAssertions and the answers that it owes.
type connection struct {
	requests chan *wire.CreateAssertionsRequest // never full: no more than inFlight are owed
	release  func()
	cancel   context.CancelFunc
	ended    chan struct{}

	mu     sync.Mutex
	owed   map[uint64]chan<- outcome
	broken bool
}

func connect(client *Client, release func()) *connection {
	ctx, cancel := context.WithCancel(client.closed)
	c := &connection{
		requests: make(chan *wire.CreateAssertionsRequest, inFlight),
		release:  release,
		cancel:   cancel,
		ended:    make(chan struct{}),
		owed:     make(map[uint64]chan<- outcome),
	}
	go func() {
		defer close(c.ended)
		c.fail(c.exchange(ctx, client.assertions))
		cancel()
	}()
	return c
}

// send returns false if the stream has ended: nothing was sent then.
func (c *connection) send(request *wire.CreateAssertionsRequest, answer chan<- outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return false
	}
	c.owed[request.Tag] = answer
	c.requests <- request
	return true
}

// finish tells the server that no request follows.
func (c *connection) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.broken {
		c.broken = true
		close(c.requests)
	}
}

// exchange opens the stream, sends in a goroutine and reads until the stream ends.
func (c *connection) exchange(ctx context.Context, stub wire.AssertionServiceClient) error {
	call, err := stub.CreateAssertions(ctx)
	if err != nil {
		return err
	}
	go func() {
		for {
			select {
			case request, more := <-c.requests:
				if !more {
					_ = call.CloseSend()
					return
				}
				if call.Send(request) != nil { // Recv reports why
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		reply, err := call.Recv()
		if err == io.EOF {
			return &Error{Code: codes.Unavailable, Message: "the server ended the stream"}
		}
		if err != nil {
			return err
		}
		c.answer(reply)
	}
}

func (c *connection) answer(reply *wire.CreateAssertionsResponse) {
	c.mu.Lock()
	answer, known := c.owed[reply.GetTag()]
	delete(c.owed, reply.GetTag())
	c.mu.Unlock()
	if !known {
		return
	}
	c.release()
	if made := reply.GetAssertion(); made != nil {
		answer <- outcome{reply: made}
	} else {
		answer <- outcome{err: errorIn(reply.GetError())}
	}
}

func (c *connection) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	for _, answer := range c.owed {
		c.release()
		answer <- outcome{err: err}
	}
	c.owed = nil
}

// Stream sends requests without waiting for the answers of earlier ones. It opens the stream anew after it broke.
// Goroutines may share it.
type Stream struct {
	client *Client
	places chan struct{}

	mu         sync.Mutex
	connection *connection
	closed     bool
	tag        uint64
	submitted  sync.WaitGroup
}

// Stream returns a Stream for many assertions in flight at once.
func (c *Client) Stream() *Stream {
	return &Stream{client: c, places: make(chan struct{}, inFlight)}
}

// Submit sends a request and waits for its assertion. At most 256 requests are in flight; others wait for a place.
func (s *Stream) Submit(ctx context.Context, request *CreateAssertionRequest) (*CreateAssertionResponse, error) {
	if err := checkEncoding(request); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed || s.client.closed.Err() != nil {
		s.mu.Unlock()
		return nil, errClosed
	}
	s.submitted.Add(1)
	s.mu.Unlock()
	defer s.submitted.Done()

	ctx, cancel := s.client.withDeadline(ctx)
	defer cancel()
	return retrying(ctx, s.client.closed, func() (*CreateAssertionResponse, error) { return s.attempt(ctx, request) })
}

// Close takes no more requests and waits for the answers that are owed: each comes, or fails, by its deadline.
func (s *Stream) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.submitted.Wait()
	if s.connection == nil {
		return
	}
	s.connection.finish()
	timer := time.AfterFunc(s.client.timeout, s.connection.cancel)
	defer timer.Stop()
	<-s.connection.ended
}

func (s *Stream) attempt(ctx context.Context, request *CreateAssertionRequest) (*CreateAssertionResponse, error) {
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	deadline, _ := ctx.Deadline()
	left := shorter(time.Until(deadline), longestWait)
	if left <= 0 {
		<-s.places
		return nil, context.DeadlineExceeded
	}
	answer := make(chan outcome, 1)
	s.send(request, left, answer)
	// The server keeps the time too. The context is for a server that does not answer at all.
	select {
	case its := <-answer:
		return its.reply, its.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Stream) send(request *CreateAssertionRequest, left time.Duration, answer chan<- outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tag++
	message := &wire.CreateAssertionsRequest{
		Tag:       s.tag,
		Assertion: request,
		Timeout:   &duration.Duration{Seconds: int64(left / time.Second), Nanos: int32(left % time.Second)},
	}
	for s.connection == nil || !s.connection.send(message, answer) {
		s.connection = connect(s.client, func() { <-s.places })
	}
}
