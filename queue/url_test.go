package queue_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/leat-dev/leat/queue"
)

func TestURLForms(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]redis.UniversalOptions{
		"redis://localhost":              {Addrs: []string{"localhost:6379"}},
		"redis://localhost/":             {Addrs: []string{"localhost:6379"}},
		"redis://10.0.0.1:7000/3":        {Addrs: []string{"10.0.0.1:7000"}, DB: 3},
		"redis://[::1]":                  {Addrs: []string{"[::1]:6379"}},
		"redis://[::1]:7000?pool_size=9": {Addrs: []string{"[::1]:7000"}, PoolSize: 9},
		"redis://:p%40ss%2Fw%3Ard@r:1/2": {Addrs: []string{"r:1"}, Password: "p@ss/w:rd", DB: 2},
		"redis://leat:a:b@r":             {Addrs: []string{"r:6379"}, Username: "leat", Password: "a:b"},
		"redis://u:p@a:1,b,c:3":          {Addrs: []string{"a:1", "b:6379", "c:3"}, Username: "u", Password: "p"},
		"redis-sentinel://s1,s2:1?master=m": {
			Addrs: []string{"s1:26379", "s2:1"}, MasterName: "m",
		},
		"redis-sentinel://:data@s1/4?master=m&sentinel_username=su&sentinel_password=s%20p": {
			Addrs: []string{"s1:26379"}, MasterName: "m", DB: 4, Password: "data", SentinelUsername: "su", SentinelPassword: "s p",
		},
	} {
		for _, secure := range []bool{false, true} {
			if secure {
				url = strings.Replace(url, "redis", "rediss", 1)
			}
			got, err := queue.ParseURL(url)
			if err != nil {
				t.Errorf("%s: %v", url, err)
				continue
			}
			if (got.TLSConfig != nil) != secure {
				t.Errorf("%s: TLS %v", url, got.TLSConfig != nil)
			}
			plain := *got
			plain.TLSConfig = nil
			if diff := cmp.Diff(want, plain, cmp.FilterPath(func(p cmp.Path) bool {
				return strings.Contains(p.String(), "Dialer") || strings.Contains(p.String(), "OnConnect") ||
					strings.Contains(p.String(), "CredentialsProvider")
			}, cmp.Ignore())); diff != "" {
				t.Errorf("%s: %s", url, diff)
			}
		}
	}
}

// A mistake in the URL can put the password anywhere, so errors repeat nothing.
func TestURLErrors(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                "is not a URL",
		"hunter2":                         "is not a URL",
		"hunter2://localhost":             "must begin with",
		"http://localhost":                "must begin with",
		"redis://":                        "address 1",
		"redis://:hunter2@":               "address 1",
		"redis://hunter2@localhost":       "without a password",
		"redis://:@localhost":             "no password",
		"redis://:hunter2@x@localhost":    "%40",
		"redis://:hunter2%zz@localhost":   "%25",
		"redis://:hunter2#x@localhost":    "%23",
		"redis://:hunter2/x@localhost":    "address 1",
		"redis://:hunter2?x@localhost":    "address 1",
		"redis://u:hunter2/x@localhost":   "port",
		"redis://u:12/hunter2@localhost":  "database",
		"redis://u:12?hunter2@localhost":  "unknown parameter",
		"redis://u:12?x=%zz@localhost":    "malformed",
		"redis://localhost:0":             "port",
		"redis://localhost:65536":         "port",
		"redis://localhost:hunter2":       "port",
		"redis://a,b,:1":                  "address 3",
		"redis://a b":                     "address 1",
		"redis://::1":                     "address 1",
		"redis://[::1":                    "address 1",
		"redis://localhost/-1":            "database",
		"redis://localhost/1/2":           "database",
		"redis://a,b/1":                   "only database 0",
		"redis://a?master=m":              "unknown parameter",
		"redis://a?pool_size=0":           "pool_size",
		"redis-sentinel://a":              "master",
		"redis-sentinel://a?master=":      "master",
		"redis-sentinel://a?hunter2=1":    "unknown parameter",
		"redis-sentinel://:hunter2@a,?x=": "address 2",
	} {
		_, err := queue.Open(url)
		if err == nil {
			t.Errorf("%s: no error", url)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "LEAT_REDIS_URL: ") || !strings.Contains(text, want) ||
			strings.Contains(text, "hunter2") {
			t.Errorf("%s: got %q, want LEAT_REDIS_URL, %q and no password", url, text, want)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("redis://u:p@a:1,b/2?pool_size=3")
	f.Add("rediss-sentinel://:p@[::1]/1?master=m")
	f.Fuzz(func(t *testing.T, url string) {
		o, err := queue.ParseURL(url)
		if err == nil && (len(o.Addrs) == 0 || o.DB < 0 || o.PoolSize < 0) {
			t.Errorf("%q: %+v", url, o)
		}
	})
}
