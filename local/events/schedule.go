package events

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// schedule says when a rule fires next after a moment, in UTC; false is never.
type schedule interface {
	next(after time.Time) (time.Time, bool)
}

// rate fires at equal distances.
type rate time.Duration

func (r rate) next(after time.Time) (time.Time, bool) { return after.Add(time.Duration(r)), true }

var rateForm = regexp.MustCompile(`^rate\((\d+) (minutes?|hours?|days?)\)$`)

func parseSchedule(s string) (schedule, error) {
	if m := rateForm.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > 1<<20 {
			return nil, fmt.Errorf("schedule %q: %s is not a positive number that fits", s, m[1])
		}
		if (n == 1) == strings.HasSuffix(m[2], "s") {
			return nil, fmt.Errorf("schedule %q: the unit is singular for 1 and plural otherwise", s)
		}
		unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[strings.TrimSuffix(m[2], "s")]
		return rate(time.Duration(n) * unit), nil
	}
	if inner, ok := strings.CutPrefix(s, "cron("); ok && strings.HasSuffix(inner, ")") {
		c, err := parseCron(strings.TrimSuffix(inner, ")"))
		if err != nil {
			return nil, fmt.Errorf("schedule %q: %w", s, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("schedule %q is neither rate(value unit) nor cron(minutes hours day-of-month month day-of-week year)", s)
}

// cron is the six fields; a day counts if day tells so.
type cron struct {
	minutes, hours, months, years map[int]bool
	day                           func(time.Time) bool
}

var (
	monthNames = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

func parseCron(s string) (*cron, error) {
	f := strings.Fields(s)
	if len(f) != 6 {
		return nil, fmt.Errorf("it has %d fields, want 6", len(f))
	}
	c := &cron{}
	var err error
	for _, p := range []struct {
		into     *map[int]bool
		name     string
		text     string
		min, max int
		names    []string
	}{
		{&c.minutes, "minutes", f[0], 0, 59, nil}, {&c.hours, "hours", f[1], 0, 23, nil},
		{&c.months, "month", f[3], 1, 12, monthNames}, {&c.years, "year", f[5], 1970, 2199, nil},
	} {
		if *p.into, err = parseField(p.text, p.min, p.max, p.names); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	dom, dow := f[2], f[4]
	switch {
	case dom == "?" && dow == "?":
		return nil, fmt.Errorf("one of day-of-month and day-of-week must say something")
	case dom == "?":
		c.day, err = parseWeekday(dow)
	case dow == "?":
		c.day, err = parseMonthDay(dom)
	default:
		return nil, fmt.Errorf("one of day-of-month and day-of-week must be ?")
	}
	return c, err
}

// parseField reads lists of values, ranges, * and steps.
func parseField(s string, lo, hi int, names []string) (map[int]bool, error) {
	number := func(t string) (int, error) {
		for i, n := range names {
			if strings.EqualFold(t, n) {
				return i + lo, nil
			}
		}
		n, err := strconv.Atoi(t)
		if err != nil || n < lo || n > hi {
			return 0, fmt.Errorf("%q is not between %d and %d", t, lo, hi)
		}
		return n, nil
	}
	set := map[int]bool{}
	for part := range strings.SplitSeq(s, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(stepText)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%q is not a step", stepText)
			}
			step = n
		}
		from, to := lo, hi
		if span != "*" {
			a, b, isRange := strings.Cut(span, "-")
			var err error
			if from, err = number(a); err != nil {
				return nil, err
			}
			switch {
			case isRange:
				if to, err = number(b); err != nil {
					return nil, err
				}
				if to < from {
					return nil, fmt.Errorf("the range %q runs backwards", span)
				}
			case !stepped:
				to = from
			}
		}
		for n := from; n <= to; n += step {
			set[n] = true
		}
	}
	return set, nil
}

// parseMonthDay reads a day of the month: also L (the last) and nW (the weekday
// nearest to day n).
func parseMonthDay(s string) (func(time.Time) bool, error) {
	last := func(t time.Time) int {
		return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	}
	if s == "L" {
		return func(t time.Time) bool { return t.Day() == last(t) }, nil
	}
	if n, ok := strings.CutSuffix(s, "W"); ok {
		day, err := strconv.Atoi(n)
		if err != nil || day < 1 || day > 31 {
			return nil, fmt.Errorf("day-of-month: %q is not understood", s)
		}
		return func(t time.Time) bool {
			if day > last(t) {
				return false
			}
			want := time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC)
			switch {
			case want.Weekday() == time.Saturday && day == 1:
				want = want.AddDate(0, 0, 2)
			case want.Weekday() == time.Saturday:
				want = want.AddDate(0, 0, -1)
			case want.Weekday() == time.Sunday && day == last(t):
				want = want.AddDate(0, 0, -2)
			case want.Weekday() == time.Sunday:
				want = want.AddDate(0, 0, 1)
			}
			return t.Day() == want.Day()
		}, nil
	}
	set, err := parseField(s, 1, 31, nil)
	if err != nil {
		return nil, fmt.Errorf("day-of-month: %w", err)
	}
	return func(t time.Time) bool { return set[t.Day()] }, nil
}

// parseWeekday reads a day of the week, 1 (Sunday) to 7: also L (Saturday), nL
// (the last such day of the month) and n#k (the k-th).
func parseWeekday(s string) (func(time.Time) bool, error) {
	one := func(t string) (time.Weekday, error) {
		set, err := parseField(t, 1, 7, dayNames)
		if err != nil || len(set) != 1 {
			return 0, fmt.Errorf("day-of-week: %q is not understood", s)
		}
		for n := range set {
			return time.Weekday(n - 1), nil
		}
		return 0, nil
	}
	if s == "L" {
		return func(t time.Time) bool { return t.Weekday() == time.Saturday }, nil
	}
	if n, k, ok := strings.Cut(s, "#"); ok {
		day, err := one(n)
		if err != nil {
			return nil, err
		}
		kth, err := strconv.Atoi(k)
		if err != nil || kth < 1 || kth > 5 {
			return nil, fmt.Errorf("day-of-week: %q is not understood", s)
		}
		return func(t time.Time) bool { return t.Weekday() == day && (t.Day()-1)/7+1 == kth }, nil
	}
	if n, ok := strings.CutSuffix(s, "L"); ok {
		day, err := one(n)
		if err != nil {
			return nil, err
		}
		return func(t time.Time) bool {
			return t.Weekday() == day && t.AddDate(0, 0, 7).Month() != t.Month()
		}, nil
	}
	set, err := parseField(s, 1, 7, dayNames)
	if err != nil {
		return nil, fmt.Errorf("day-of-week: %w", err)
	}
	return func(t time.Time) bool { return set[int(t.Weekday())+1] }, nil
}

func (c *cron) next(after time.Time) (time.Time, bool) {
	t := after.UTC().Truncate(time.Minute).Add(time.Minute)
	for t.Year() <= 2199 {
		switch {
		case !c.years[t.Year()]:
			t = time.Date(t.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
		case !c.months[int(t.Month())]:
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		case !c.day(t):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
		case !c.hours[t.Hour()]:
			t = t.Truncate(time.Hour).Add(time.Hour)
		case !c.minutes[t.Minute()]:
			t = t.Add(time.Minute)
		default:
			return t, true
		}
	}
	return time.Time{}, false
}
