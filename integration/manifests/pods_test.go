package manifests_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/leat-dev/leat/config"
)

// yes says whether a setting is there and true.
func yes(b *bool) bool { return b != nil && *b }

// no says whether a setting is there and false.
func no(b *bool) bool { return b != nil && !*b }

func TestPodsAreConfined(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		for _, p := range templates(v) {
			s := p.pod.Spec.SecurityContext
			if s == nil || !yes(s.RunAsNonRoot) || s.RunAsUser == nil || *s.RunAsUser == 0 || s.RunAsGroup == nil || *s.RunAsGroup == 0 {
				t.Errorf("%s: may run as root", p.name)
			} else if s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: no seccomp profile", p.name)
			} else if p.ours() && *s.RunAsUser != 65532 {
				t.Errorf("%s: runs as user %d, not the image's", p.name, *s.RunAsUser)
			}
			if v.name != onOneNode && (p.pod.Spec.HostNetwork || p.pod.Spec.HostPID || p.pod.Spec.HostIPC) {
				t.Errorf("%s: shares namespaces with the node", p.name)
			}
			for _, c := range containers(p) {
				confined(t, p.name+"/"+c.Name, c)
			}
			for _, volume := range p.pod.Spec.Volumes {
				if volume.HostPath != nil && v.name != onOneNode {
					t.Errorf("%s: mounts a folder of the node", p.name)
				}
			}
		}
	})
}

func containers(p template) []corev1.Container {
	return slices.Concat(p.pod.Spec.InitContainers, p.pod.Spec.Containers)
}

func confined(t *testing.T, name string, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	if s == nil {
		t.Errorf("%s: no security context", name)
		return
	}
	if !yes(s.ReadOnlyRootFilesystem) {
		t.Errorf("%s: can write to its root", name)
	}
	if !no(s.AllowPrivilegeEscalation) || yes(s.Privileged) {
		t.Errorf("%s: can gain privileges", name)
	}
	if s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
		t.Errorf("%s: has capabilities", name)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s: says not what it needs or may have", name)
	}
}

func TestOnlyTheScalerHasAToken(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		accounts := kind[*corev1.ServiceAccount](v)
		users := map[string]string{}
		for _, p := range templates(v) {
			name := p.pod.Spec.ServiceAccountName
			account, ok := accounts[name]
			if !ok {
				t.Errorf("%s: its service account %q is not there", p.name, name)
				continue
			}
			if other, taken := users[name]; taken {
				t.Errorf("%s shares its service account with %s", p.name, other)
			}
			users[name] = p.name
			token := !no(account.AutomountServiceAccountToken)
			if p.pod.Spec.AutomountServiceAccountToken != nil {
				token = *p.pod.Spec.AutomountServiceAccountToken
			}
			if want := p.name == "scaler"; token != want {
				t.Errorf("%s: token is mounted: %v, want %v", p.name, token, want)
			}
		}
		if len(users) != len(accounts) {
			t.Errorf("%d service accounts for %d kinds of pods", len(accounts), len(users))
		}
	})
}

func TestReplicasBelongToWhoScales(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		for _, name := range []string{"api", "worker"} {
			if n := get[*appsv1.Deployment](t, v, name).Spec.Replicas; n != nil {
				t.Errorf("%s has replicas: %d; applying it again would resize it", name, *n)
			}
		}
		scalers := kind[*appsv1.Deployment](v)["scaler"]
		switch {
		case !withScaler(v.name) && scalers != nil:
			t.Error("two scale the worker")
		case withScaler(v.name) && (scalers == nil || scalers.Spec.Replicas == nil || *scalers.Spec.Replicas != 2):
			t.Error("there are not two scalers")
		}
	})
}

// What a process may take to end beside its drain: asynq's margin for handing back, and the
// statements that are under way when the store is closed.
const handBack = 10 * time.Second

func TestGracePeriodsFitTheDrain(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		for _, name := range []string{"api", "worker", "scaler"} {
			d, ok := kind[*appsv1.Deployment](v)[name]
			if !ok {
				continue // another scales
			}
			pod := d.Spec.Template.Spec
			drain, err := time.ParseDuration(environment(t, v, pod.Containers[0])["LEAT_SHUTDOWN_TIMEOUT"])
			if err != nil {
				t.Fatalf("%s: LEAT_SHUTDOWN_TIMEOUT: %v", name, err)
			}
			need := drain + config.Default().DatabaseTimeout
			if name == "worker" {
				need += handBack
			}
			if l := pod.Containers[0].Lifecycle; l != nil {
				need += time.Duration(l.PreStop.Sleep.Seconds) * time.Second
			}
			if pod.TerminationGracePeriodSeconds == nil {
				t.Fatalf("%s: no grace period", name)
			}
			if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace < need+5*time.Second {
				t.Errorf("%s: is killed after %v, and may need %v", name, grace, need)
			}
		}
	})
}

// environment is what a container of ours finds in its environment, but for secrets and what
// differs from pod to pod, which are empty.
func environment(t *testing.T, v variant, c corev1.Container) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, source := range c.EnvFrom {
		maps.Copy(env, get[*corev1.ConfigMap](t, v, source.ConfigMapRef.Name).Data)
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	return env
}

func TestProbesAskForWhatIsServed(t *testing.T) {
	t.Parallel()
	all(t, inCluster, func(t *testing.T, v variant) {
		for name, d := range kind[*appsv1.Deployment](v) {
			c := d.Spec.Template.Spec.Containers[0]
			port := "admin"
			if name == "api" {
				port = "http"
			}
			for _, probe := range []struct {
				*corev1.Probe
				path string
			}{{c.StartupProbe, "/healthz"}, {c.LivenessProbe, "/healthz"}, {c.ReadinessProbe, "/readyz"}} {
				if probe.Probe == nil || probe.HTTPGet == nil {
					t.Errorf("%s: nothing asks for %s", name, probe.path)
				} else if got := probe.HTTPGet; got.Path != probe.path || got.Port.String() != port {
					t.Errorf("%s: a probe asks for %s of port %s, want %s of port %s", name, got.Path, got.Port.String(), probe.path, port)
				}
			}
		}
	})
}
