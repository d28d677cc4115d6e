package workload

import (
	"path"
	"strings"
)

// MatchAny reports whether a name, slashes between its segments, matches any
// of the globs. `*`, `?` and `[...]` match within a segment, `**` any number
// of segments; a glob without a slash matches the last segment alone.
func MatchAny(globs []string, name string) bool {
	for _, g := range globs {
		if Match(g, name) {
			return true
		}
	}
	return false
}

// Match is MatchAny for one glob.
func Match(glob, name string) bool {
	if !strings.Contains(glob, "/") && glob != "**" {
		ok, err := path.Match(glob, path.Base(name))
		return err == nil && ok
	}
	return matchSegments(strings.Split(strings.Trim(glob, "/"), "/"), strings.Split(strings.Trim(name, "/"), "/"))
}

func matchSegments(glob, name []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			for i := 0; i <= len(name); i++ {
				if matchSegments(glob[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(glob[0], name[0]); err != nil || !ok {
			return false
		}
		glob, name = glob[1:], name[1:]
	}
	return len(name) == 0
}
