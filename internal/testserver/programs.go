package testserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// findRedis returns the path of redis-server, which it installs if it must.
func findRedis(ctx context.Context) (string, error) {
	return findOrInstall(ctx, "redis-server", "redis-server", func() string {
		for _, name := range []string{"redis-server", "/usr/local/bin/redis-server", "/usr/bin/redis-server"} {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		return ""
	})
}

// findPostgres returns the folder of the newest postgres and initdb, which it
// installs if it must.
func findPostgres(ctx context.Context) (string, error) {
	return findOrInstall(ctx, "postgres", "postgresql", func() string { return newestPostgres(ctx) })
}

func newestPostgres(ctx context.Context) string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails only on a malformed pattern
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	newest, best := 0, ""
	for _, dir := range dirs {
		program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil {
			continue
		}
		dir = filepath.Dir(program)
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		if v := majorVersion(ctx, program); v > newest {
			newest, best = v, dir
		}
	}
	return best
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// majorVersion returns 15 for Postgres 15.2, and 0 for what is no Postgres.
func majorVersion(ctx context.Context, program string) int {
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	match := versionPattern.FindSubmatch(out)
	if err != nil || match == nil {
		return 0
	}
	v, err := strconv.Atoi(string(match[1]))
	if err != nil {
		return 0
	}
	return v
}

// findOrInstall returns what find finds, after installing the package if that is
// nothing.
func findOrInstall(ctx context.Context, program, pkg string, find func() string) (string, error) {
	if path := find(); path != "" {
		return path, nil
	}
	if err := install(ctx, pkg, find); err != nil {
		return "", fmt.Errorf("there is no program %s here: %w; start a Docker engine, install it, or name a server in %s or %s",
			program, err, EnvRedisURL, EnvDatabaseURL)
	}
	if path := find(); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("there is no program %s here even after installing %s", program, pkg)
}

// canInstall says that this is Debian or one of its kin, and that we are root.
func canInstall() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil && os.Geteuid() == 0
}
