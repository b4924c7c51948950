// Package assertiond asks assertiond for OAuth 2.0 client assertions that an HSM signs. See README.md.
package assertiond

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"assertiond/client/internal/wire"
)

// DefaultTimeout limits a whole call, retries included, if neither its context nor Options does.
const DefaultTimeout = 5 * time.Second

// The messages of the API, generated from the protos.
type (
	CreateAssertionRequest      = wire.CreateAssertionRequest
	CreateAssertionResponse     = wire.CreateAssertionResponse
	CreateDpopProofRequest      = wire.CreateDpopProofRequest
	CreateDpopProofResponse     = wire.CreateDpopProofResponse
	CreateRequestObjectRequest  = wire.CreateRequestObjectRequest
	CreateRequestObjectResponse = wire.CreateRequestObjectResponse
	GetAccessTokenRequest       = wire.GetAccessTokenRequest
	GetAccessTokenResponse      = wire.GetAccessTokenResponse
	GetCertificateRequest       = wire.GetCertificateRequest
	GetCertificateResponse      = wire.GetCertificateResponse
	GetJwksRequest              = wire.GetJwksRequest
	GetJwksResponse             = wire.GetJwksResponse
)

// Options of a Client. The zero value is right for a Unix socket.
type Options struct {
	TLS     *tls.Config   // mutual TLS: RootCAs and a client certificate
	Timeout time.Duration // for a whole call whose context has no deadline. Default: DefaultTimeout
}

// Client is one connection to assertiond. Keep one for the life of the process; goroutines may share it.
type Client struct {
	connection *grpc.ClientConn
	assertions wire.AssertionServiceClient
	tokens     wire.AccessTokenServiceClient
	timeout    time.Duration
	closed     context.Context
	close      context.CancelFunc
}

// Dial returns a Client. It does not wait for the server. server is unix:/path, or HOST:PORT with options.TLS.
func Dial(server string, options Options) (*Client, error) {
	if options.Timeout < 0 {
		return nil, fmt.Errorf("assertiond: Options.Timeout must be a positive duration, not %v", options.Timeout)
	}
	if options.Timeout == 0 {
		options.Timeout = DefaultTimeout
	}
	target, transport, err := transportTo(server, options.TLS)
	if err != nil {
		return nil, err
	}
	// gRPC waits up to two minutes between attempts to connect; a restarted server must be found sooner.
	reconnect := backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond}
	connection, err := grpc.Dial(target,
		append(transport, grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: time.Second}))...)
	if err != nil {
		return nil, fmt.Errorf("assertiond: %w", err)
	}
	closed, cancel := context.WithCancel(context.Background())
	return &Client{
		connection: connection,
		assertions: wire.NewAssertionServiceClient(connection),
		tokens:     wire.NewAccessTokenServiceClient(connection),
		timeout:    options.Timeout,
		closed:     closed,
		close:      cancel,
	}, nil
}

func transportTo(server string, config *tls.Config) (string, []grpc.DialOption, error) {
	if config != nil {
		if len(config.Certificates) == 0 && config.GetClientCertificate == nil {
			return "", nil, errors.New("assertiond: Options.TLS has no client certificate")
		}
		return server, []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}, nil
	}
	path := strings.TrimPrefix(server, "unix:")
	if path == server {
		return "", nil, fmt.Errorf("assertiond: server %q needs Options.TLS: without it only unix:/path is allowed", server)
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(path, "//"))
	}
	// The kernel tells the server who calls.
	return "passthrough:///localhost",
		[]grpc.DialOption{grpc.WithInsecure(), grpc.WithContextDialer(dial), grpc.WithAuthority("localhost")}, nil
}

// Close ends the connection. Calls that are under way fail.
func (c *Client) Close() error {
	c.close()
	return c.connection.Close()
}

// CreateAssertion creates a new assertion. Make one for every token request.
func (c *Client) CreateAssertion(ctx context.Context, request *CreateAssertionRequest) (*CreateAssertionResponse, error) {
	return call(ctx, c, c.assertions.CreateAssertion, request)
}

// CreateDpopProof creates a DPoP proof (RFC 9449).
func (c *Client) CreateDpopProof(ctx context.Context, request *CreateDpopProofRequest) (*CreateDpopProofResponse, error) {
	return call(ctx, c, c.assertions.CreateDpopProof, request)
}

// CreateRequestObject creates a signed authorization request (RFC 9101).
func (c *Client) CreateRequestObject(ctx context.Context, request *CreateRequestObjectRequest) (*CreateRequestObjectResponse, error) {
	return call(ctx, c, c.assertions.CreateRequestObject, request)
}

// GetAccessToken returns a token that assertiond bought and shares among all callers of the client.
func (c *Client) GetAccessToken(ctx context.Context, request *GetAccessTokenRequest) (*GetAccessTokenResponse, error) {
	return call(ctx, c, c.tokens.GetAccessToken, request)
}

// GetCertificate returns the certificate of the client's key.
func (c *Client) GetCertificate(ctx context.Context, request *GetCertificateRequest) (*GetCertificateResponse, error) {
	return call(ctx, c, c.assertions.GetCertificate, request)
}

// GetJwks returns the client's JWK Set as JSON.
func (c *Client) GetJwks(ctx context.Context, request *GetJwksRequest) (*GetJwksResponse, error) {
	return call(ctx, c, c.assertions.GetJwks, request)
}

func call[Request, Reply any](ctx context.Context, c *Client,
	method func(context.Context, *Request, ...grpc.CallOption) (*Reply, error), request *Request) (*Reply, error) {
	if err := checkEncoding(request); err != nil {
		return nil, err
	}
	ctx, cancel := c.withDeadline(ctx)
	defer cancel()
	return retrying(ctx, c.closed, func() (*Reply, error) { return method(ctx, request) })
}

// checkEncoding refuses nil and text that is not UTF-8. gRPC would call it INTERNAL, as a defect of the server, and end a
// stream for its other requests.
func checkEncoding(request any) error {
	message, _ := request.(proto.Message)
	if _, err := proto.Marshal(message); err != nil {
		return fmt.Errorf("assertiond: the request cannot be encoded: %w", err)
	}
	return nil
}

func (c *Client) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.timeout)
}
