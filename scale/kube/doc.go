// Package kube is the scaler's side towards Kubernetes: a [Target] is one resource with a scale
// subresource, usually a Deployment. It reads and sets the number of replicas, says which pods are
// to go when there are to be fewer, refuses to work against another autoscaler, shows what was
// done as Kubernetes Events, and elects one leader among the scalers through a Lease.
//
// It may import scale and client-go, and alone may import the latter.
//
// # Who goes when a fleet shrinks
//
// Nobody can tell a Deployment which pods to remove, but its ReplicaSet has an order: pods that
// run nothing yet go first, then those that are not ready, then those of the lowest
// controller.kubernetes.io/pod-deletion-cost. So [Target.Shrink] works out who would go, refuses
// with [ErrUnsafe] where that is anyone but the victims and pods that are not ready and hold
// nothing, gives the victims a cost below all others and busy members one by what is left for them
// to do, waits until the API server shows these marks to watchers, and only then writes the scale.
// Since a ReplicaSet knows only its own pods, it also refuses while a rollout has pods of two of them.
// A mark is noted in a second annotation, leat-dev/deletion-cost, and taken back by [Target.Size]
// once no pod is left to be removed, whoever left it there. A cost that something else set is
// overwritten or removed by a shrink, and not put back: do not let Karpenter's
// PodDeletionCostManagement write it as well.
//
// What is left of the risk: the order is Kubernetes' best effort, and a pod can stop being ready
// between the last look and the ReplicaSet's own. A worker that is removed all the same drains.
//
// A StatefulSet removes the highest ordinal first and heeds no cost. So its highest ordinals are
// emptied, busy or not: Size is Ordered, and has the members in the order in which they would go. A
// Shrink with other victims is refused too: that no worker goes while it has a job is worth more than
// a smaller fleet a little earlier. Custom resources are taken to heed the cost, as those do that make
// ReplicaSets.
//
// # RBAC
//
// Exactly what is called, in the target's namespace; for a StatefulSet or a custom resource,
// its own group and plural instead of apps and deployments:
//
//   - {apiGroups: [apps], resources: [deployments/scale], verbs: [get, update]}
//   - {apiGroups: [""], resources: [pods], verbs: [list, watch, patch]}
//   - {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [list]}
//   - {apiGroups: [keda.sh], resources: [scaledobjects], verbs: [list]}
//   - {apiGroups: [""], resources: [events], verbs: [create, patch]}
//   - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
//   - {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [worker-scaler], verbs: [get, update]}
//
// and, for a StatefulSet alone, get of statefulsets (its first ordinal). The rule for
// scaledobjects is needed where KEDA is not installed too: what is forbidden cannot be told from
// what does not exist. Reading /apis/apps/v1, which tells the resource of a kind, is open to every
// service account by default.
package kube
