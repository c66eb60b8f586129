package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/leat-dev/leat/config"
)

// load reads options from the three sources.
func load(t *testing.T, args []string, env map[string]string, file string) (config.Options, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "leat.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	loader := config.Bind(flags, config.Default(), "store", "redis", "api", "worker", "serve")
	if err := flags.Parse(args); err != nil {
		return config.Options{}, err
	}
	return loader.Load(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
}

func TestDefaultsStandWhereNothingIsSaid(t *testing.T) {
	t.Parallel()
	got, err := load(t, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), got); diff != "" {
		t.Errorf("options (-default +got):\n%s", diff)
	}
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	t.Parallel()
	file := "listen: from-file:1\nconcurrency: 1\nlog-level: error\nqueues: {a: 1}\n"
	env := map[string]string{"LEAT_LISTEN": "from-env:1", "LEAT_CONCURRENCY": "2", "LEAT_QUEUES": "critical=6, default=3,low"}
	got, err := load(t, []string{"--listen", "from-flag:1", "--max-upload-size=2GiB"}, env, file)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Listen, want.Concurrency, want.LogLevel, want.MaxUploadSize = "from-flag:1", 2, "error", 2<<30
	want.Queues = map[string]int{"critical": 6, "default": 3, "low": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestFileCanChangeKinds(t *testing.T) {
	t.Parallel()
	got, err := load(t, nil, nil, "kinds:\n  inspect:\n    timeout: 90s\n    concurrency: 3\n    max-attempts: 2\n    retry-jitter: 0\n")
	if err != nil {
		t.Fatal(err)
	}
	none := 0.0
	want := map[string]config.Kind{"inspect": {Timeout: 90 * time.Second, Concurrency: 3, MaxAttempts: 2, RetryJitter: &none}}
	if diff := cmp.Diff(want, got.Kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestWrongOptionIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		file string
		want string // part of the message
	}{
		{"not a number", nil, map[string]string{"LEAT_CONCURRENCY": "many"}, "", "concurrency"},
		{"too small", []string{"--concurrency=0"}, nil, "", "LEAT_CONCURRENCY"},
		{"not a time", []string{"--shutdown-timeout=soon"}, nil, "", "shutdown-timeout"},
		{"not a size", []string{"--inline-limit=big"}, nil, "", "inline-limit"},
		{"too large for a row", []string{"--inline-limit=2MiB"}, nil, "", "inline-limit"},
		{"certificate without a key", []string{"--tls-cert=c.pem"}, nil, "", "tls-key"},
		{"key without a certificate", nil, map[string]string{"LEAT_TLS_KEY": "k.pem"}, "", "LEAT_TLS_CERT"},
		{"not an age", []string{"--hsts=long"}, nil, "", "hsts"},
		{"age before the beginning", []string{"--hsts=-1h"}, nil, "", "LEAT_HSTS"},
		{"not a switch", nil, map[string]string{"LEAT_MIGRATE": "perhaps"}, "", "migrate"},
		{"queue twice", []string{"--queues=a=1,a=2"}, nil, "", "twice"},
		{"queue without a weight", []string{"--queues=a=x"}, nil, "", "queues"},
		{"unknown in the file", nil, nil, "databaseurl: postgres://x\n", "databaseurl"},
		{"unknown of a kind", nil, nil, "kinds: {inspect: {tries: 3}}\n", "tries"},
		{"file that is not there", []string{"--config", "/nonexistent/leat.yaml"}, nil, "", "/nonexistent/leat.yaml"},
		{"file that is not YAML", nil, nil, "a: [", "config file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, err := load(t, c.args, c.env, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v (options %+v), want one that names %q", err, got, c.want)
			}
		})
	}
}

func TestAnAgeCanBeOff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Age{"off": 0, "0s": 0, "24h": config.Age(24 * time.Hour)} {
		if got, err := load(t, []string{"--hsts=" + text}, nil, ""); err != nil || got.HSTS != want {
			t.Errorf("hsts %s is %v (%v), want %v", text, got.HSTS, err, want)
		}
	}
}

// A secret in the environment must not come out with the error about it.
func TestErrorsDoNotRepeatTheDatabaseURL(t *testing.T) {
	t.Parallel()
	_, err := load(t, []string{"--concurrency=0"}, map[string]string{"LEAT_DATABASE_URL": "postgres://u:hunter2@db/leat"}, "")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v, want one without the password", err)
	}
}
