package queue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// urlOption names the setting in errors.
const urlOption = "LEAT_REDIS_URL"

// parseURL reads the address of Redis; see [Open] for its forms. Its errors name
// the setting and never repeat any of it: a mistake can put the password anywhere.
func parseURL(raw string) (*redis.UniversalOptions, error) {
	o, err := parseRedisURL(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", urlOption, err)
	}
	return o, nil
}

func parseRedisURL(raw string) (*redis.UniversalOptions, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return nil, errors.New("is not a URL, such as redis://host:6379/0")
	}
	var o redis.UniversalOptions
	var sentinel, secure bool
	switch scheme {
	case "redis":
	case "rediss":
		secure = true
	case "redis-sentinel":
		sentinel = true
	case "rediss-sentinel":
		sentinel, secure = true, true
	default:
		return nil, errors.New("must begin with redis://, rediss://, redis-sentinel:// or rediss-sentinel://")
	}
	if secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if strings.Contains(rest, "#") {
		return nil, errors.New("has a '#', which must be written %23")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")

	var err error
	if o.Username, o.Password, authority, err = parseUser(authority); err != nil {
		return nil, err
	}
	port := "6379"
	if sentinel {
		port = "26379"
	}
	if o.Addrs, err = parseAddresses(authority, port); err != nil {
		return nil, err
	}
	if o.DB, err = parseDatabase(path); err != nil {
		return nil, err
	}
	if o.DB != 0 && !sentinel && len(o.Addrs) > 1 {
		return nil, errors.New("several addresses are a cluster, which has only database 0")
	}
	return &o, parseParameters(&o, query, sentinel)
}

// parseUser splits user and password from what comes before the path.
func parseUser(authority string) (user, password, hosts string, err error) {
	info, hosts, found := strings.Cut(authority, "@")
	if !found {
		return "", "", authority, nil
	}
	if strings.Contains(hosts, "@") {
		return "", "", "", errors.New("has more than one '@'; in user and password it must be written %40")
	}
	user, password, found = strings.Cut(info, ":")
	if !found {
		return "", "", "", errors.New("has a user without a password; a password alone is written :password@")
	}
	if user, err = url.PathUnescape(user); err == nil {
		password, err = url.PathUnescape(password)
	}
	if err != nil {
		return "", "", "", errors.New("user or password has a '%' that begins no %xx escape; write it %25")
	}
	if password == "" {
		return "", "", "", errors.New("has an '@' but no password before it")
	}
	return user, password, hosts, nil
}

func parseAddresses(hosts, defaultPort string) ([]string, error) {
	var addrs []string
	for i, addr := range strings.Split(hosts, ",") {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			if host, port, err = net.SplitHostPort(addr + ":" + defaultPort); err != nil {
				return nil, fmt.Errorf("address %d is not host:port", i+1)
			}
		}
		if host == "" || strings.ContainsAny(host, " []") {
			return nil, fmt.Errorf("address %d has no valid host", i+1)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("address %d: the port must be a number from 1 to 65535", i+1)
		}
		addrs = append(addrs, net.JoinHostPort(host, port))
	}
	return addrs, nil
}

func parseDatabase(path string) (int, error) {
	if path == "" {
		return 0, nil
	}
	db, err := strconv.ParseUint(path, 10, 31)
	if err != nil {
		return 0, errors.New("the part behind the address must be the number of a database")
	}
	return int(db), nil
}

func parseParameters(o *redis.UniversalOptions, query string, sentinel bool) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its parameters, behind the '?', are malformed")
	}
	for name, given := range values {
		value := given[len(given)-1]
		switch {
		case name == "pool_size":
			if o.PoolSize, err = strconv.Atoi(value); err != nil || o.PoolSize < 1 {
				return errors.New("pool_size must be a number of at least 1")
			}
		case name == "master" && sentinel:
			o.MasterName = value
		case name == "sentinel_username" && sentinel:
			o.SentinelUsername = value
		case name == "sentinel_password" && sentinel:
			o.SentinelPassword = value
		default:
			return errors.New("has an unknown parameter; known are pool_size and, with sentinels, " +
				"master, sentinel_username and sentinel_password")
		}
	}
	if sentinel && o.MasterName == "" {
		return errors.New("sentinels need the parameter master, the name of what they watch")
	}
	return nil
}
