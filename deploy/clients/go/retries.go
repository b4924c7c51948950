package assertiond

import (
	"context"
	"math/rand"
	"time"
)

const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// retrying repeats an attempt until it succeeds, fails for good, or has no time left before the deadline of ctx.
func retrying[Reply any](ctx, closed context.Context, attempt func() (*Reply, error)) (*Reply, error) {
	deadline, _ := ctx.Deadline()
	for pause := firstPause; ; pause = shorter(2*pause, longestPause) {
		reply, err := attempt()
		if err == nil {
			return reply, nil
		}
		failure := errorOf(err)
		// Jitter, so that callers refused together do not come back together. Never earlier than the server asks.
		wait := time.Duration(float64(pause) * (0.5 + rand.Float64()/2))
		if failure.RetryAfter > 0 {
			wait = time.Duration(float64(failure.RetryAfter) * (1 + rand.Float64()/5))
		}
		if !failure.Retryable() || time.Until(deadline) <= wait {
			return nil, failure
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, failure
		case <-closed.Done():
			timer.Stop()
			return nil, failure
		}
	}
}

func shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}
