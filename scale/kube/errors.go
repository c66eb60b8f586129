package kube

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrMoved is wrapped by errors of writes that were not made because the scale was found to be
// past what was asked for: someone else changed it meanwhile.
var ErrMoved = errors.New("the scale was changed by someone else")

// ErrUnsafe is wrapped by errors of shrinks that were not made because they would have taken
// members that were not to go.
var ErrUnsafe = errors.New("the shrink would take others than the victims")

// failed tells what a call was, and where RBAC forbids it which verb is missing.
func failed(verb, resource string, err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("the scaler's role needs the verb %s on %s: %w", verb, resource, err)
	}
	return fmt.Errorf("%s %s: %w", verb, resource, err)
}
