// Package access says who may do what: the keys of the API, and the scopes that they carry.
//
// It is pure, and imports nothing of Leat.
package access

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is a part of the API that a key opens. None contains another.
type Scope string

// The scopes.
const (
	Upload  Scope = "upload"  // send files
	Read    Scope = "read"    // see the tenant's jobs, files, events and queues, and download
	Operate Scope = "operate" // cancel and retry the tenant's jobs, delete its files
	Admin   Scope = "admin"   // what concerns all tenants: pause queues, see and command the scaler
)

// All lists the scopes.
func All() []Scope { return []Scope{Upload, Read, Operate, Admin} }

// Scopes are the scopes of one key.
type Scopes []Scope

// Has reports whether the scope is among them.
func (s Scopes) Has(scope Scope) bool { return slices.Contains(s, scope) }

// String joins them by commas.
func (s Scopes) String() string {
	texts := make([]string, len(s))
	for i, scope := range s {
		texts[i] = string(scope)
	}
	return strings.Join(texts, ",")
}

// ParseScopes reads scopes that are joined by commas, at least one, and puts them in order.
func ParseScopes(text string) (Scopes, error) {
	var scopes Scopes
	for name := range strings.SplitSeq(text, ",") {
		scope := Scope(strings.TrimSpace(name))
		if !slices.Contains(All(), scope) {
			return nil, fmt.Errorf("scope %q: there are %s", strings.ToValidUTF8(string(scope[:min(len(scope), 40)]), "�"), Scopes(All()))
		}
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}
