// Package config reads the settings of Leat's programs: from flags, then LEAT_* environment
// variables, then a YAML file, each option under one name in all three, and checks them all before
// anything starts.
//
// It imports jobs/spec/declare, for the kinds that are declared here, and nothing else of Leat.
package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/leat-dev/leat/jobs/spec/declare"
)

// EnvPrefix begins every environment variable: the option database-url is LEAT_DATABASE_URL.
const EnvPrefix = "LEAT_"

// Size is a number of bytes; people write it as 64MiB, 2GB or 1024.
type Size int64

// Set takes what people write. With it, String and Type a Size is a pflag.Value.
func (s *Size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is not a size such as 64MiB", text)
	}
	*s = Size(n)
	return nil
}

func (s Size) String() string { return strings.ReplaceAll(humanize.IBytes(uint64(max(s, 0))), " ", "") }

// Type is what help calls a Size.
func (Size) Type() string { return "size" }

// Age is a time for which something holds; people may write off for 0.
type Age time.Duration

// off is how people write that there is none.
const off = "off"

// Options are the settings of every program; each uses those of its groups. The usage tag is what
// --help says, the group tag which programs have the option.
type Options struct {
	DatabaseURL              string        `koanf:"database-url" group:"store,ledger" usage:"where the truth lies, postgres://…"`
	DatabaseMaxConns         int           `koanf:"database-max-conns" group:"store" usage:"most connections to the database from this process"`
	DatabasePooler           bool          `koanf:"database-pooler" group:"store,ledger" usage:"the database URL leads to a pooler in transaction mode, such as PgBouncer"`
	DatabaseAllowAsyncCommit bool          `koanf:"database-allow-async-commit" group:"store" usage:"start although synchronous_commit is off: accepted uploads may then be lost in a crash of the database"`
	DatabaseTimeout          time.Duration `koanf:"database-timeout" group:"store" usage:"longest that one statement may take"`
	Migrate                  bool          `koanf:"migrate" group:"store,ledger" usage:"bring the database's schema up to date at start"`
	MigrateDatabaseURL       string        `koanf:"migrate-database-url" group:"store,ledger" usage:"direct URL of the database for migrations, where the other leads to a pooler"`
	RedisURL                 string        `koanf:"redis-url" group:"redis" usage:"redis://, rediss://, redis-sentinel://, or several addresses for a cluster"`
	BlobURL                  string        `koanf:"blob-url" group:"blob" usage:"where larger files lie, file:///folder"`

	Auth        string `koanf:"auth" group:"api,up" usage:"who may call: keys (who has one; leat keys makes them), loopback (anybody, and listen must be an address that only this machine reaches) or off (anybody: something in front asks)"`
	Listen      string `koanf:"listen" group:"api,up" usage:"address on which the API listens"`
	TLSCert     string `koanf:"tls-cert" group:"api,up" usage:"PEM file with the certificate and what leads to its root; with tls-key, the API speaks HTTPS. Looked at every 10 s, for a renewed one"`
	TLSKey      string `koanf:"tls-key" group:"api,up" usage:"PEM file with the certificate's key"`
	AdminListen string `koanf:"admin-listen" group:"serve" usage:"address of /metrics, /healthz, /readyz and /debug/pprof; off for none"`
	Instance    string `koanf:"instance" group:"serve" usage:"name of this process for people, such as the pod's; the host's name when empty"`
	LogFormat   string `koanf:"log-format" group:"serve" usage:"text, json, or auto: text on a terminal"`
	LogLevel    string `koanf:"log-level" group:"serve" usage:"debug, info, warn or error"`

	MaxUploadSize     Size          `koanf:"max-upload-size" group:"api,up" usage:"largest request body"`
	MaxUploadFiles    int           `koanf:"max-upload-files" group:"api,up" usage:"most files in one request"`
	MaxUploads        int           `koanf:"max-uploads" group:"api,up" usage:"most uploads at once; more are told to come again"`
	UploadStall       time.Duration `koanf:"upload-stall" group:"api,up" usage:"time in which a sender must bring its next 64 KiB, or it is cut off"`
	InlineLimit       Size          `koanf:"inline-limit" group:"api,up" usage:"up to which size a file lies in the database itself"`
	TenantRate        float64       `koanf:"tenant-rate" group:"api,up" usage:"requests per second that each tenant may send, unless leat tenants set says otherwise; 0 for any number"`
	TenantBurst       int           `koanf:"tenant-burst" group:"api,up" usage:"requests that a tenant may send at once; those of a second when 0"`
	TenantBytesPerDay Size          `koanf:"tenant-bytes-per-day" group:"api,up" usage:"bytes that each tenant may upload in 24 hours, unless set otherwise; 0 for any number"`
	TenantJobsWaiting int           `koanf:"tenant-jobs-waiting" group:"api,up" usage:"jobs that each tenant may have ready to run, unless set otherwise; 0 for any number"`
	MaxBacklog        time.Duration `koanf:"max-backlog" group:"api,up" usage:"while the workers would take longer than this for all jobs that are ready, tenants with more than their share of them can upload nothing; 0 for never"`

	AcceptTypes    []string `koanf:"accept-types" group:"api,up" usage:"media types of the files that are accepted, as image/*,application/pdf, by their content; all when empty"`
	CORSOrigins    []string `koanf:"cors-origins" group:"api,up" usage:"origins whose pages may call the API, or *"`
	TrustedProxies []string `koanf:"trusted-proxies" group:"api,up" usage:"addresses or networks of proxies whose X-Forwarded-* headers are believed"`
	HSTS           Age      `koanf:"hsts" group:"api,up" usage:"how long a browser that came by HTTPS is to come by nothing else (Strict-Transport-Security); off for not saying so"`
	HSTSSubdomains bool     `koanf:"hsts-subdomains" group:"api,up" usage:"hsts holds for all subdomains of the API's host, too"`

	Queues          map[string]int `koanf:"queues" group:"worker,scaler,up" usage:"queues to serve and their weights, as critical=6,default=3"`
	Concurrency     int            `koanf:"concurrency" group:"worker,up" usage:"jobs at once in this process"`
	Scratch         string         `koanf:"scratch" group:"worker,up" usage:"folder for what runs need for a while (default: leat in the system's folder for such files)"`
	Fetchers        int            `koanf:"fetchers" group:"worker,up" usage:"parallel fetchers of jobs, 1 to 4"`
	PollBudget      int            `koanf:"poll-budget" group:"worker,up" usage:"idle polls of Redis per second that all workers together may make; beyond it they poll less often"`
	ShutdownTimeout time.Duration  `koanf:"shutdown-timeout" group:"serve" usage:"how long running jobs and requests may go on after a stop was asked for"`

	Target     string        `koanf:"target" group:"scaler" usage:"what is scaled, as deployment/worker, or Kind.version.group/name"`
	Namespace  string        `koanf:"namespace" group:"scaler" usage:"of the target; the pod's own when empty"`
	Kubeconfig string        `koanf:"kubeconfig" group:"scaler" usage:"file that says how to reach the cluster; the pod's service account when empty"`
	Policy     string        `koanf:"policy" group:"scaler,up" usage:"YAML file with the scaling policy; built-in defaults when empty"`
	ScaleEvery time.Duration `koanf:"scale-every" group:"scaler,up" usage:"time between two scaling decisions"`
	MaxWorkers int           `koanf:"max-workers" group:"up" usage:"most workers in this process; there are as many as the work needs"`

	KeepDecisions time.Duration `koanf:"keep-decisions" group:"dispatch" usage:"how long scaling decisions are kept"`
	KeepAudit     time.Duration `koanf:"keep-audit" group:"dispatch" usage:"how long it is known who made and revoked keys, set tenants and deleted files; 0 for good"`
	KeepJobs      time.Duration `koanf:"keep-jobs" group:"dispatch" usage:"how long ended jobs are kept; 0 for good"`
	UploadExpiry  time.Duration `koanf:"upload-expiry" group:"dispatch" usage:"how long an upload that comes in pieces is kept after its last request"`
	SweepEvery    time.Duration `koanf:"sweep-every" group:"dispatch" usage:"how often old jobs and orphaned objects are looked for"`

	Data string `koanf:"data" group:"up,ledger" usage:"folder that holds everything"`

	// Kinds changes kinds' defaults; only the file has it.
	Kinds map[string]Kind `koanf:"kinds"`
	// Commands declares kinds whose work a program does, by their names; only the file has it.
	Commands map[string]declare.Command `koanf:"commands"`
}

// Kind overrides what a kind's description says; zero fields do not.
type Kind struct {
	Timeout     time.Duration `koanf:"timeout"`
	Concurrency int           `koanf:"concurrency"`
	MaxAttempts int           `koanf:"max-attempts"`
	RetryBase   time.Duration `koanf:"retry-base"`
	RetryFactor float64       `koanf:"retry-factor"`
	RetryCap    time.Duration `koanf:"retry-cap"`
	RetryJitter *float64      `koanf:"retry-jitter"`
}

// Default is what applies where nothing is said.
func Default() Options {
	return Options{
		DatabaseMaxConns: 16,
		DatabaseTimeout:  10 * time.Second,
		Migrate:          true,
		Auth:             "keys",
		Listen:           ":8080",
		AdminListen:      ":9090",
		LogFormat:        "auto",
		LogLevel:         "info",
		MaxUploadSize:    10 << 30,
		MaxUploadFiles:   100,
		MaxUploads:       256,
		UploadStall:      30 * time.Second,
		InlineLimit:      16 << 10,
		HSTS:             Age(365 * 24 * time.Hour),
		Queues:           map[string]int{"default": 1},
		Concurrency:      10,
		Fetchers:         2,
		PollBudget:       2000,
		ShutdownTimeout:  30 * time.Second,
		Target:           "deployment/worker",
		ScaleEvery:       2 * time.Second,
		MaxWorkers:       4,
		KeepDecisions:    7 * 24 * time.Hour,
		KeepAudit:        365 * 24 * time.Hour,
		KeepJobs:         30 * 24 * time.Hour,
		UploadExpiry:     48 * time.Hour,
		SweepEvery:       10 * time.Minute,
		Data:             "leat-data",
	}
}

// Option describes one option, for help and documentation.
type Option struct {
	Name    string // of the flag and in the file; EnvName gives the environment variable
	Default string
	Usage   string
	Groups  []string
	Switch  bool // takes true or false
}

// Describe lists the options with the given defaults, in the order in which they are declared.
func Describe(defaults Options) []Option {
	var list []Option
	values := reflect.ValueOf(defaults)
	for i := range values.NumField() {
		tag := values.Type().Field(i).Tag
		if tag.Get("group") == "" {
			continue // only in the file
		}
		list = append(list, Option{
			Name: tag.Get("koanf"), Default: format(values.Field(i).Interface()), Usage: tag.Get("usage"),
			Groups: strings.Split(tag.Get("group"), ","), Switch: values.Field(i).Kind() == reflect.Bool,
		})
	}
	return list
}

// Loader binds a program's options to its flags.
type Loader struct {
	flags    *pflag.FlagSet
	defaults Options
	names    []string
}

// Bind adds a flag for each option of the groups to flags, and --config.
func Bind(flags *pflag.FlagSet, defaults Options, groups ...string) *Loader {
	l := &Loader{flags: flags, defaults: defaults}
	flags.String("config", "", "YAML file with options by their flags' names")
	for _, o := range Describe(defaults) {
		if !slices.ContainsFunc(o.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
			continue
		}
		l.names = append(l.names, o.Name)
		if o.Switch {
			flags.Bool(o.Name, o.Default == "true", o.Usage)
		} else {
			flags.String(o.Name, o.Default, o.Usage)
		}
	}
	return l
}

// format writes a default the way people write the option.
func format(value any) string {
	switch v := value.(type) {
	case Size:
		return v.String()
	case Age:
		if v == 0 {
			return off
		}
		return time.Duration(v).String()
	case []string:
		return strings.Join(v, ",")
	case map[string]int:
		pairs := make([]string, 0, len(v))
		for name, weight := range v {
			pairs = append(pairs, fmt.Sprintf("%s=%d", name, weight))
		}
		slices.Sort(pairs)
		return strings.Join(pairs, ",")
	}
	return fmt.Sprint(value)
}

// Load reads the options once the flags are parsed. The first of flag, environment variable and
// file that names an option decides. An option that is not known, or that cannot be read, is an
// error that names it.
func (l *Loader) Load(lookupEnv func(string) (string, bool)) (Options, error) {
	opts := l.defaults
	k := koanf.New("\x00") // options have no hierarchy but the kinds'
	if path := l.configFile(lookupEnv); path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return opts, fmt.Errorf("config file %s: %w", path, err)
		}
	}
	given := map[string]any{}
	for _, name := range l.names {
		if value, ok := lookupEnv(EnvName(name)); ok && value != "" {
			given[name] = value
		}
	}
	l.flags.VisitAll(func(f *pflag.Flag) { // not Visit, which knows of no subcommand's parsing
		if f.Changed && slices.Contains(l.names, f.Name) {
			given[f.Name] = f.Value.String()
		}
	})
	if err := k.Load(confmap.Provider(given, ""), nil); err != nil {
		return opts, fmt.Errorf("options: %w", err)
	}
	if k.Exists("queues") {
		opts.Queues = nil // replaced, not added to
	}
	err := k.UnmarshalWithConf("", &opts, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &opts, TagName: "koanf", WeaklyTypedInput: true, ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			decodeSize, decodeAge, decodeQueues,
			mapstructure.StringToTimeDurationHookFunc(),
			mapstructure.StringToSliceHookFunc(","),
		),
	}})
	if err != nil {
		return opts, fmt.Errorf("options: %w", err)
	}
	for name, command := range opts.Commands {
		command.Name = name
		opts.Commands[name] = command
	}
	return opts, opts.validate()
}

// EnvName is the environment variable of an option.
func EnvName(option string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

func (l *Loader) configFile(lookupEnv func(string) (string, bool)) string {
	if path := l.flags.Lookup("config").Value.String(); path != "" {
		return path
	}
	path, _ := lookupEnv(EnvName("config"))
	return path
}

func decodeSize(_, to reflect.Type, data any) (any, error) {
	text, ok := data.(string)
	if !ok || to != reflect.TypeFor[Size]() && to != reflect.TypeFor[declare.Bytes]() {
		return data, nil
	}
	var size Size
	err := size.Set(text)
	return int64(size), err
}

func decodeAge(_, to reflect.Type, data any) (any, error) {
	text, ok := data.(string)
	if !ok || to != reflect.TypeFor[Age]() {
		return data, nil
	}
	if text == off {
		return Age(0), nil
	}
	age, err := time.ParseDuration(text)
	return Age(age), err
}

func decodeQueues(_, to reflect.Type, data any) (any, error) {
	text, ok := data.(string)
	if !ok || to != reflect.TypeFor[map[string]int]() {
		return data, nil
	}
	queues := map[string]any{}
	for pair := range strings.SplitSeq(text, ",") {
		name, weight, found := strings.Cut(strings.TrimSpace(pair), "=")
		if !found {
			weight = "1"
		}
		if _, twice := queues[name]; twice {
			return nil, fmt.Errorf("queue %q is there twice", name)
		}
		queues[name] = weight
	}
	return queues, nil
}

// validate finds values that no program could use, by the option's name.
func (o *Options) validate() error {
	var errs []error
	positive := func(name string, ok bool, value any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s (%s): %v is too small", name, EnvName(name), value))
		}
	}
	if !slices.Contains([]string{"keys", "loopback", "off"}, o.Auth) {
		errs = append(errs, fmt.Errorf("auth (%s): %q is not one of keys, loopback and off", EnvName("auth"), o.Auth))
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		errs = append(errs, fmt.Errorf("tls-cert (%s), tls-key (%s): one needs the other", EnvName("tls-cert"), EnvName("tls-key")))
	}
	positive("hsts", o.HSTS == 0 || o.HSTS >= Age(time.Second), time.Duration(o.HSTS))
	positive("database-max-conns", o.DatabaseMaxConns >= 2, o.DatabaseMaxConns)
	positive("database-timeout", o.DatabaseTimeout >= 100*time.Millisecond, o.DatabaseTimeout)
	positive("max-upload-size", o.MaxUploadSize > 0, o.MaxUploadSize)
	positive("max-upload-files", o.MaxUploadFiles > 0, o.MaxUploadFiles)
	positive("max-uploads", o.MaxUploads > 0, o.MaxUploads)
	positive("upload-stall", o.UploadStall >= time.Second, o.UploadStall)
	positive("tenant-rate", o.TenantRate >= 0 && !math.IsNaN(o.TenantRate) && !math.IsInf(o.TenantRate, 0), o.TenantRate)
	positive("tenant-burst", o.TenantBurst >= 0, o.TenantBurst)
	positive("tenant-bytes-per-day", o.TenantBytesPerDay >= 0, o.TenantBytesPerDay)
	positive("tenant-jobs-waiting", o.TenantJobsWaiting >= 0, o.TenantJobsWaiting)
	positive("max-backlog", o.MaxBacklog >= 0, o.MaxBacklog)
	positive("inline-limit", o.InlineLimit >= 0, o.InlineLimit)
	positive("concurrency", o.Concurrency > 0, o.Concurrency)
	positive("fetchers", o.Fetchers > 0, o.Fetchers)
	positive("poll-budget", o.PollBudget > 0, o.PollBudget)
	positive("shutdown-timeout", o.ShutdownTimeout >= 0, o.ShutdownTimeout)
	positive("scale-every", o.ScaleEvery >= 100*time.Millisecond, o.ScaleEvery)
	positive("max-workers", o.MaxWorkers > 0, o.MaxWorkers)
	positive("keep-decisions", o.KeepDecisions >= time.Hour, o.KeepDecisions)
	positive("keep-audit", o.KeepAudit >= 0, o.KeepAudit)
	positive("keep-jobs", o.KeepJobs >= 0, o.KeepJobs)
	positive("upload-expiry", o.UploadExpiry >= time.Minute, o.UploadExpiry)
	positive("sweep-every", o.SweepEvery >= time.Second, o.SweepEvery)
	if o.InlineLimit > 1<<20 {
		errs = append(errs, fmt.Errorf("inline-limit (%s): at most 1MiB can lie in the database", EnvName("inline-limit")))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Commands)) {
		if err := o.Commands[name].Check(); err != nil {
			errs = append(errs, fmt.Errorf("commands: %w", err))
		}
	}
	return errors.Join(errs...)
}
