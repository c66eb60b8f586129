package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// keysCommand makes, lists and revokes keys of the API.
func keysCommand(env app.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Make, list and revoke keys of the API",
		Long: "Make, list and revoke keys of the API, in its database: that of --database-url, or of leat up in\n" +
			"the folder of --data. Who can reach the database needs no key.",
	}
	l := ledgerCommand(env, cmd)
	cmd.AddCommand(l.createKeyCommand(), l.listKeysCommand(), l.revokeKeyCommand())
	return cmd
}

func (l *ledger) createKeyCommand() *cobra.Command {
	var tenant, label, scopes string
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "Make a key, and print it: it is shown only this once", Args: cobra.NoArgs,
		Long: "Make a key, and print it on standard output: it is shown only this once, and only its hash is kept.\n" +
			"A key opens one tenant's files and jobs. Scopes: upload (send files), read (see and download),\n" +
			"operate (cancel, retry, delete), admin (what concerns all tenants: pause queues, command the scaler).",
		Example: "  leat keys create --tenant acme --label website --scopes upload,read\n  export LEAT_API_KEY=$(leat keys create --scopes upload,read,operate)",
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := newKey(tenant, label, scopes, expires)
			if err != nil {
				return err
			}
			return l.createKey(cmd.Context(), key)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", string(jobs.DefaultTenant), "whose files and jobs it opens")
	cmd.Flags().StringVar(&label, "label", "", "what people are to know it by")
	cmd.Flags().StringVar(&scopes, "scopes", "upload,read", "what it may be used for")
	cmd.Flags().DurationVar(&expires, "expires", 0, "after which time it stops to work; 0 for never")
	return cmd
}

func newKey(tenant, label, scopes string, expires time.Duration) (store.NewKey, error) {
	key := store.NewKey{Tenant: jobs.Tenant(tenant), Label: label, Expires: expires}
	var err error
	if key.Scopes, err = access.ParseScopes(scopes); err != nil {
		return key, usage("--scopes: %w", err)
	}
	if err := jobs.CheckName(tenant); err != nil {
		return key, usage("--tenant: %w", err)
	}
	if err := store.CheckLabel(label); err != nil {
		return key, usage("--label: %w", err)
	}
	if expires < 0 {
		return key, usage("--expires: %v has passed", expires)
	}
	return key, nil
}

func (l *ledger) createKey(ctx context.Context, key store.NewKey) error {
	return l.with(ctx, func(s store.Store) error {
		var text string
		text, key.Name, key.Hash = access.NewKey()
		added, err := s.AddKey(ctx, key, store.Actor{Name: store.ActorOperator})
		if err != nil {
			return err
		}
		if l.json {
			return l.print(struct {
				Key string `json:"key"`
				shownKey
			}{text, show(&added)})
		}
		fmt.Fprintf(l.env.Stderr, "%s of tenant %s may %s%s. The key is shown only now:\n",
			added.Name, added.Tenant, added.Scopes, until(added.ExpiresAt))
		_, err = fmt.Fprintln(l.env.Stdout, text)
		return err
	})
}

func (l *ledger) listKeysCommand() *cobra.Command {
	var tenant, prefix string
	cmd := &cobra.Command{
		Use: "list", Short: "List keys, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !access.CheckName(prefix) {
				return usage("--prefix: %q is not the beginning of a key's name, such as leat_ab", prefix)
			}
			return l.listKeys(cmd.Context(), store.KeyFilter{Tenant: jobs.Tenant(tenant), Prefix: prefix})
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "only keys of this tenant")
	cmd.Flags().StringVar(&prefix, "prefix", "", "only keys whose names begin so")
	return cmd
}

func (l *ledger) listKeys(ctx context.Context, filter store.KeyFilter) error {
	return l.with(ctx, func(s store.Store) error {
		var all []store.Key
		for page := (store.Page{Limit: store.MaxLimit}); ; {
			keys, next, err := s.ListKeys(ctx, filter, page)
			if err != nil {
				return err
			}
			all = append(all, keys...)
			if next.IsZero() {
				break
			}
			page.After = next
		}
		if l.json {
			for i := range all {
				if err := l.print(show(&all[i])); err != nil {
					return err
				}
			}
			return nil
		}
		return table(l.env.Stdout, func(line func(...any)) {
			line("KEY", "TENANT", "SCOPES", "CREATED", "LAST USED", "STATE", "LABEL")
			for i := range all {
				k := &all[i]
				line(k.Name, k.Tenant, k.Scopes, day(k.CreatedAt), day(k.UsedAt), keyState(k, time.Now()), k.Label)
			}
		})
	})
}

func (l *ledger) revokeKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a key for good; it stops to work within 10 s", Args: oneArg("a key's name, such as leat_abcdefgh"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if whole, _, err := access.ParseKey(name); err == nil {
				name = whole // the key itself will do
			}
			return l.with(cmd.Context(), func(s store.Store) error {
				key, err := s.RevokeKey(cmd.Context(), name, store.Actor{Name: store.ActorOperator})
				switch {
				case errors.Is(err, store.ErrNotFound):
					return fmt.Errorf("there is no key of that name; leat keys list shows them")
				case err != nil:
					return err
				case l.json:
					return l.print(show(&key))
				}
				_, err = fmt.Fprintln(l.env.Stdout, key.Name, "revoked")
				return err
			})
		},
	}
}

// shownKey is a key in JSON.
type shownKey struct {
	Name      string        `json:"name"`
	Tenant    jobs.Tenant   `json:"tenant"`
	Label     string        `json:"label,omitempty"`
	Scopes    access.Scopes `json:"scopes"`
	CreatedAt time.Time     `json:"created_at"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"`
	RevokedAt time.Time     `json:"revoked_at,omitzero"`
	UsedAt    time.Time     `json:"used_at,omitzero"`
}

func show(k *store.Key) shownKey {
	return shownKey{k.Name, k.Tenant, k.Label, k.Scopes, k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.UsedAt}
}

func keyState(k *store.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked " + day(k.RevokedAt)
	case !k.Valid(now):
		return "expired " + day(k.ExpiresAt)
	}
	return "valid" + until(k.ExpiresAt)
}

func until(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " until " + day(at)
}

// day writes a time for people, as exactly as lists need it.
func day(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Local().Format("2006-01-02 15:04")
}
