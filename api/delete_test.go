package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func TestDeleteFile(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, withKeys, func(o *api.Options) { o.InlineLimit = 4 })
		key, name := f.namedKey("acme", 0, access.All()...)
		u := into[wire.Upload](f.send(http.MethodPost, "/v1/uploads?kind=inspect", strings.NewReader("in the blob store"), key).is(http.StatusAccepted))
		path := "/v1/files/" + u.FileID.String()
		f.send(http.MethodDelete, path, nil, key).is(http.StatusConflict).fails(wire.CodeFileInUse)
		f.equal("blobs", 1, f.countBlobs())
		f.run(u.JobID, 1, store.RunEnd{Outcome: jobs.RunSucceeded})

		gone := f.send(http.MethodDelete, path, nil, key, "X-Request-Id: r-1").is(http.StatusNoContent)
		f.equal("body", "", string(gone.body))
		f.equal("blobs", 0, f.countBlobs())
		for _, p := range []string{path, path + "/content", "/v1/jobs/" + u.JobID.String()} {
			f.get(p, key).is(http.StatusNotFound)
		}
		f.send(http.MethodDelete, path, nil, key).is(http.StatusNotFound).fails(wire.CodeNotFound)
		f.send(http.MethodDelete, "/v1/files/x", nil, key).is(http.StatusBadRequest)
		f.send(http.MethodDelete, "/v1/files/"+uuid.NewString()+"?force=true", nil, key).is(http.StatusBadRequest).fails(wire.CodeUnknownField)

		log, _, err := s.Audit(t.Context(), store.Page{Limit: 1})
		f.ok(err)
		f.equal("who", store.Actor{Name: name, Client: "127.0.0.1", RequestID: "r-1"}, log[0].Actor)
		f.equal("what", store.AuditFileDeleted, log[0].Action)
		f.equal("whose", jobs.Tenant("acme"), log[0].Tenant)
	})
}

// A page of another origin cannot have a file deleted.
func TestDeleteFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	u := f.uploadRaw("x", "")
	f.send(http.MethodDelete, "/v1/files/"+u.FileID.String(), nil, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site").
		is(http.StatusForbidden).fails(wire.CodeCrossOrigin)
	f.get("/v1/files/" + u.FileID.String()).is(http.StatusOK)
}
