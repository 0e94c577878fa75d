package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) logVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that nothing was taken out of the log, or changed in it",
		Long: "Verify computes the tree of the log from its records, in the files and in the database, and compares it with every\n" +
			"checkpoint that the server signed. What was changed, removed, moved or cut off is named, and the exit code is 3.\n\n" +
			"Who has the server's own key can make a new log with new checkpoints. So keep some elsewhere (berth log checkpoint),\n" +
			"and verify with them: the log must go on from what they say. With --files no server is asked: that takes\n" +
			"the registry's public key, which the checkpoints' file has.",
		Example: "berth log checkpoint --output json >/elsewhere/checkpoints.json\n" +
			"berth log verify --checkpoints /elsewhere/checkpoints.json\n" +
			"berth log verify --files /var/lib/berth/audit --checkpoints /elsewhere/checkpoints.json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.logVerify(cmd) },
	}
	cmd.Flags().StringArray("checkpoints", nil, "a file that berth log checkpoint --output json wrote, kept elsewhere; may be given again")
	cmd.Flags().String("log", "", "the id of one server's log, if not all")
	cmd.Flags().String("files", "", "a directory with log files, to verify them without a server")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd)
	return cmd
}

func (p *program) logCheckpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print signed checkpoints of the log, to be kept where nobody who has the server can change them",
		Long: "Checkpoint prints how many records the log of each server has and the root of its tree, signed. From what is kept of it,\n" +
			"berth log verify proves later that the log goes on from there. JSON has the public key as well.",
		Example: "berth log checkpoint --output json >/elsewhere/checkpoints.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(cmd); err != nil {
				return err
			}
			client, err := p.platform(cmd)
			if err != nil {
				return err
			}
			checkpoints, err := client.LogCheckpoints(cmd.Context())
			if err != nil {
				return fmt.Errorf("asking for checkpoints: %w", err)
			}
			return p.print(cmd, checkpoints, func(w io.Writer) error {
				for _, c := range checkpoints.Checkpoints {
					if _, err := io.WriteString(w, c); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd)
	return cmd
}

func (p *program) logVerify(cmd *cobra.Command) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	flags := cmd.Flags()
	files, err := flags.GetStringArray("checkpoints")
	if err != nil {
		return err
	}
	id, err := flags.GetString("log")
	if err != nil {
		return err
	}
	directory, err := flags.GetString("files")
	if err != nil {
		return err
	}
	kept, err := readCheckpoints(files)
	if err != nil {
		return err
	}
	var logs []platform.VerifiedLog
	if directory != "" {
		if kept.PublicKey == "" {
			return usageError{errors.New("--files needs --checkpoints: a file with the registry's public key"), "berth log checkpoint --output json writes one"}
		}
		if _, err := os.Stat(directory); err != nil {
			return fmt.Errorf("--files: %w", err)
		}
		found, err := app.VerifyLogFiles(cmd.Context(), directory, kept.PublicKey, id, kept.Checkpoints)
		if err != nil {
			return fmt.Errorf("verifying the files: %w", err)
		}
		logs = ownReports(found)
	} else {
		client, err := p.platform(cmd)
		if err != nil {
			return err
		}
		if logs, err = client.VerifyLog(cmd.Context(), id, kept.Checkpoints); err != nil {
			return fmt.Errorf("having the log verified: %w", err)
		}
	}
	if err := p.print(cmd, logs, func(w io.Writer) error { return writeVerified(w, logs) }); err != nil {
		return err
	}
	return verdictOf(logs)
}

// readCheckpoints reads files of checkpoints of one registry.
func readCheckpoints(files []string) (platform.LogCheckpoints, error) {
	var all platform.LogCheckpoints
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return all, fmt.Errorf("--checkpoints: %w", err)
		}
		var one platform.LogCheckpoints
		if err := json.Unmarshal(text, &one); err != nil || one.PublicKey == "" {
			return all, usageError{fmt.Errorf("--checkpoints: %s is not what berth log checkpoint --output json writes", name), ""}
		}
		if all.PublicKey != "" && all.PublicKey != one.PublicKey {
			return all, fmt.Errorf("--checkpoints: %s is of another registry than the files before it", name)
		}
		all.PublicKey = one.PublicKey
		all.Checkpoints = append(all.Checkpoints, one.Checkpoints...)
	}
	return all, nil
}

func ownReports(found []app.VerifiedLog) []platform.VerifiedLog {
	logs := []platform.VerifiedLog{}
	for _, r := range found {
		one := platform.VerifiedLog{
			Log: r.Log, Records: r.Records, Forgotten: r.Forgotten, Root: r.Root.String(), Checkpoints: r.Checkpoints, Unreachable: r.Unreachable,
			Compared: r.Compared, DatabaseOnly: r.DatabaseOnly, Problems: []platform.LogProblem{},
		}
		for _, p := range r.Problems {
			one.Problems = append(one.Problems, platform.LogProblem{Kind: string(p.Kind), First: p.First, Next: p.Next, File: p.File, Message: p.Message})
		}
		logs = append(logs, one)
	}
	return logs
}

func writeVerified(w io.Writer, logs []platform.VerifiedLog) error {
	rows := [][]string{{"LOG", "RECORDS", "CHECKPOINTS", "VERDICT"}}
	for _, l := range logs {
		verdict := "as it was written"
		switch {
		case len(l.Problems) > 0:
			verdict = plural(len(l.Problems), "problem", "problems")
		case l.DatabaseOnly:
			verdict = "as it was written, by the database: its files are on another machine"
		}
		rows = append(rows, []string{l.Log, strconv.FormatInt(l.Records, 10), strconv.Itoa(l.Checkpoints), verdict})
	}
	for i := range rows {
		for j := range rows[i] {
			rows[i][j] = plan.Printable(rows[i][j])
		}
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	for _, l := range logs {
		for _, p := range l.Problems {
			at := fmt.Sprintf("record %d", p.First)
			if p.Next > p.First+1 {
				at = fmt.Sprintf("records %d to %d", p.First, p.Next-1)
			}
			if p.File != "" {
				at += " in " + p.File
			}
			if _, err := fmt.Fprintf(w, "%s: %s, %s: %s\n", plan.Printable(l.Log), plan.Printable(p.Kind), plan.Printable(at), plan.Printable(p.Message)); err != nil {
				return err
			}
		}
	}
	return nil
}

// verdictOf is exit code 3 where something is wrong.
func verdictOf(logs []platform.VerifiedLog) error {
	problems := 0
	for _, l := range logs {
		problems += len(l.Problems)
	}
	if problems > 0 {
		return foundError{fmt.Errorf("the log is not as it was written: %s", plural(problems, "problem", "problems"))}
	}
	return nil
}
