package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/clock"
)

func TestDurationsPassFasterAndDatesDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := clock.New(60)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := c.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if passed := time.Since(start); passed != time.Second {
			t.Errorf("a minute took %s", passed)
		}
		if !c.Now().Equal(time.Now()) {
			t.Errorf("the date is %s", c.Now())
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := clock.Real().Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

func TestOnlySpeedsAboveZeroAreTaken(t *testing.T) {
	for _, speed := range []float64{0, -1} {
		if _, err := clock.New(speed); err == nil {
			t.Errorf("speed %v was taken", speed)
		}
	}
}

func TestAShortTimeStaysAboveZero(t *testing.T) {
	c, err := clock.New(1e9)
	if err != nil {
		t.Fatal(err)
	}
	if c.Short(time.Nanosecond) <= 0 || c.Short(0) != 0 || (*clock.Clock)(nil).Short(time.Second) != time.Second {
		t.Error("short times")
	}
}
