package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// auditCommand shows what must be accounted for.
func auditCommand(env app.Env) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who made and revoked keys, set tenants and deleted files, latest first", Args: cobra.NoArgs,
	}
	l := ledgerCommand(env, cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, fmt.Sprintf("how many, at most %d", store.MaxLimit))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 || limit > store.MaxLimit {
			return usage("--limit: use 1 to %d", store.MaxLimit)
		}
		return l.with(cmd.Context(), func(s store.Store) error {
			list, _, err := s.Audit(cmd.Context(), store.Page{Limit: limit})
			if err != nil {
				return err
			}
			return l.showAudit(list)
		})
	}
	return cmd
}

func (l *ledger) showAudit(list []store.AuditEntry) error {
	if !l.json {
		return table(l.env.Stdout, func(line func(...any)) {
			line("AT", "WHO", "FROM", "DID", "TENANT", "TO", "")
			for _, e := range list {
				from := e.Actor.Client
				if from == "" {
					from = "-"
				}
				line(day(e.At), e.Actor.Name, from, e.Action, e.Tenant, e.Subject, string(e.Data))
			}
		})
	}
	for _, e := range list {
		err := l.print(struct {
			ID        string            `json:"id"`
			At        time.Time         `json:"at"`
			Actor     string            `json:"actor"`
			Client    string            `json:"client,omitempty"`
			RequestID string            `json:"request_id,omitempty"`
			Action    store.AuditAction `json:"action"`
			Tenant    jobs.Tenant       `json:"tenant"`
			Subject   string            `json:"subject"`
			Data      json.RawMessage   `json:"data,omitempty"`
		}{e.ID.String(), e.At.UTC(), e.Actor.Name, e.Actor.Client, e.Actor.RequestID, e.Action, e.Tenant, e.Subject, e.Data})
		if err != nil {
			return err
		}
	}
	return nil
}
