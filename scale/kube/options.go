package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// namespaceFile is where a pod finds the name of its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Options say what is scaled, and through which API server.
type Options struct {
	// Kubeconfig is how to reach the API server from outside of the cluster: one path or several,
	// as the environment variable KUBECONFIG has them. Empty: the pod's service account.
	Kubeconfig string
	// Namespace of the target, the Lease and the Events. Empty: the kubeconfig's, or the pod's.
	Namespace string

	APIVersion string // of the target; empty: apps/v1
	Kind       string // empty: Deployment
	Name       string // required

	// Lease is the name of the Lease by which scalers of this target elect a leader. Empty: the
	// target's name followed by -scaler.
	Lease string
	// LeaseDuration is after how much silence of the leader a follower takes over; 0: 10 s. It is
	// in whole seconds. The leader renews it ten times in that time, and stops leading when it
	// could not for 70 % of it. Followers look every 1/10 to 2/9 of it, so that they take over
	// within 1.5 times this duration of the leader's death.
	LeaseDuration time.Duration
	// Identity names this process to people who look at the Lease; empty: the host's name.
	// Something random is added, for no two processes may share one.
	Identity string

	// Log is where failures go that are no one's return value; nil: [slog.Default].
	Log *slog.Logger
}

// complete fills in the defaults that need no API server.
func (o Options) complete() (Options, error) {
	if o.Name == "" {
		return o, errors.New("the target needs a name")
	}
	if o.APIVersion == "" {
		o.APIVersion = "apps/v1"
	}
	if _, err := schema.ParseGroupVersion(o.APIVersion); err != nil {
		return o, fmt.Errorf("the target's API version: %w", err)
	}
	if o.Kind == "" {
		o.Kind = "Deployment"
	}
	if o.Lease == "" {
		o.Lease = o.Name + "-scaler"
	}
	if o.LeaseDuration == 0 {
		o.LeaseDuration = 10 * time.Second
	}
	if o.LeaseDuration < time.Second || o.LeaseDuration%time.Second != 0 {
		return o, fmt.Errorf("the lease's duration must be whole seconds, not %v", o.LeaseDuration)
	}
	if o.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("name this scaler: %w", err)
		}
		o.Identity = host
	}
	o.Identity += "_" + uuid.NewString()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, nil
}

// connect tells how to reach the API server, and the namespace that goes with it.
func (o Options) connect() (*rest.Config, string, error) {
	cfg, namespace, err := o.load()
	if err != nil {
		return nil, "", err
	}
	if o.Namespace != "" {
		namespace = o.Namespace
	}
	cfg.UserAgent = userAgent
	// The API server shares itself out by its own priorities; a limit here would only delay the
	// marks of a shrink, and the Lease behind them.
	cfg.QPS = -1
	cfg.WarningHandler = rest.NoWarnings{}
	return cfg, namespace, nil
}

func (o Options) load() (*rest.Config, string, error) {
	if o.Kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, "", fmt.Errorf("no kubeconfig is given, and this is no pod with a service account: %w", err)
		}
		namespace, err := os.ReadFile(namespaceFile)
		if err != nil && o.Namespace == "" {
			return nil, "", fmt.Errorf("no namespace is given: %w", err)
		}
		return cfg, strings.TrimSpace(string(namespace)), nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(o.Kubeconfig)}
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	cfg, err := loaded.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("kubeconfig %s: %w", o.Kubeconfig, err)
	}
	namespace, _, err := loaded.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("kubeconfig %s: %w", o.Kubeconfig, err)
	}
	return cfg, namespace, nil
}
