package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/api/wire"
)

func (r *remote) filesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "files", Short: "Show and delete files"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "show ID", Short: "Show what is known of a file", Args: oneArg("a file's ID"),
			RunE: func(cmd *cobra.Command, args []string) error { return r.showFile(cmd, args[0]) },
		},
		&cobra.Command{
			Use: "delete ID", Short: "Delete a file with its jobs and all that was made of it", Args: oneArg("a file's ID"),
			RunE: func(cmd *cobra.Command, args []string) error { return r.deleteFile(cmd, args[0]) },
		},
	)
	return cmd
}

func (r *remote) showFile(cmd *cobra.Command, arg string) error {
	c, id, err := r.clientAndID(arg)
	if err != nil {
		return err
	}
	file, err := c.File(cmd.Context(), id)
	if err != nil {
		return err
	}
	return r.print(func(w io.Writer) error { return writeFile(w, file) }, file)
}

func writeFile(w io.Writer, file *wire.File) error {
	return table(w, func(line func(...any)) {
		line("file", file.ID)
		line("name", file.Name)
		line("size", file.Size)
		line("sha256", file.SHA256)
		line("type", file.MediaType)
		line("created", file.CreatedAt.Local().Format(time.DateTime))
	})
}

func (r *remote) deleteFile(cmd *cobra.Command, arg string) error {
	c, id, err := r.clientAndID(arg)
	if err != nil {
		return err
	}
	if err := c.DeleteFile(cmd.Context(), id); err != nil {
		return err
	}
	return r.print(func(w io.Writer) error { _, err := fmt.Fprintln(w, id, "deleted"); return err },
		map[string]any{"file_id": id, "deleted": true})
}
