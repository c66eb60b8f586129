// Package manifests proves what deploy/k8s promises, on what kustomize makes of it: that every
// object fits its schema, that pods are confined, that what refers to something finds it, that
// grace periods fit the drain. It needs no cluster, no kubectl and no network.
package manifests_test
