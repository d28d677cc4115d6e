package events

import (
	"testing"
	"time"
)

func TestCronFiresNext(t *testing.T) {
	for _, c := range []struct{ name, cron, after, want string }{
		{"every day at noon", "cron(0 12 * * ? *)", "2026-11-23T12:00:00Z", "2026-11-24T12:00:00Z"},
		{"every fifteen minutes", "cron(0/15 * * * ? *)", "2026-11-23T12:01:30Z", "2026-11-23T12:15:00Z"},
		{"weekdays over a weekend", "cron(30 8 ? * MON-FRI *)", "2026-11-20T09:00:00Z", "2026-11-23T08:30:00Z"},
		{"the first of the month", "cron(0 0 1 * ? *)", "2026-12-15T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"the last of February", "cron(0 0 L 2 ? *)", "2027-03-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"the third Friday", "cron(0 9 ? * 6#3 *)", "2026-11-23T00:00:00Z", "2026-12-18T09:00:00Z"},
		{"the last Monday", "cron(0 9 ? * 2L *)", "2026-11-23T00:00:00Z", "2026-11-30T09:00:00Z"},
		{"the weekday nearest the 15th", "cron(0 9 15W 8 ? *)", "2026-01-01T00:00:00Z", "2026-08-14T09:00:00Z"},
		{"named months and lists", "cron(5,10 6 1 MAR,SEP ? 2027)", "2027-03-01T06:05:00Z", "2027-03-01T06:10:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseSchedule(c.cron)
			if err != nil {
				t.Fatal(err)
			}
			after, err := time.Parse(time.RFC3339, c.after)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := s.next(after)
			if !ok || got.Format(time.RFC3339) != c.want {
				t.Errorf("next after %s: %v %v, want %s", c.after, got, ok, c.want)
			}
		})
	}
	if s, err := parseSchedule("cron(0 0 1 1 ? 2020)"); err != nil {
		t.Error(err)
	} else if _, ok := s.next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); ok {
		t.Error("a schedule of the past fires")
	}
}
