package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// managedPolicies are short names of the policies that AWS manages for ECR.
var managedPolicies = []struct{ short, name string }{
	{"pull", "AmazonEC2ContainerRegistryPullOnly"},
	{"read", "AmazonEC2ContainerRegistryReadOnly"},
	{"push", "AmazonEC2ContainerRegistryPowerUser"},
	{"full", "AmazonEC2ContainerRegistryFullAccess"},
}

const policyUsage = "pull, read, push or full, for AWS's managed policies of ECR, or the ARN of a policy"

// policyARN gives the ARN of a policy by its short name.
func policyARN(named string) (string, error) {
	for _, m := range managedPolicies {
		if named == m.short || named == m.name {
			return "arn:aws:iam::aws:policy/" + m.name, nil
		}
	}
	if strings.HasPrefix(named, "arn:") {
		return named, nil
	}
	return "", usageError{fmt.Errorf("%q names no policy", named), "give " + policyUsage}
}

func (p *program) adminUserCommands() []*cobra.Command {
	commands := []*cobra.Command{
		p.adminCreateUserCommand(), p.adminListUsersCommand(), p.adminDeleteUserCommand(),
		p.adminPolicyCommand("attach-policy", "Give a user a policy", (*platform.People).AttachPolicy),
		p.adminPolicyCommand("detach-policy", "Take a policy from a user", (*platform.People).DetachPolicy),
		p.adminWhoAmICommand(),
	}
	for _, c := range commands {
		addPeopleFlags(c)
	}
	return commands
}

// user is an entry of the JSON output, which is a contract.
type user struct {
	Name     string    `json:"userName"`
	Path     string    `json:"path"`
	ID       string    `json:"userId"`
	ARN      string    `json:"arn"`
	Created  time.Time `json:"createdAt"`
	Boundary string    `json:"permissionsBoundary,omitempty"`
	Policies []string  `json:"policies,omitempty"` // that it was made with
}

func newUser(u platform.User) user {
	return user{Name: u.Name, Path: u.Path, ID: u.ID, ARN: u.ARN, Created: u.Created.UTC(), Boundary: u.Boundary}
}

func (p *program) adminCreateUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create-user NAME",
		Short: "Make a user, with the policies named",
		Example: "berth admin create-user ada --policy push\n" +
			"berth admin create-user deploy --path /machines/ --policy pull --policy arn:aws:iam::123456789012:policy/extra",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.adminCreateUser(cmd, args[0]) },
	}
	cmd.Flags().StringArray("policy", nil, policyUsage+"; may be repeated")
	cmd.Flags().String("path", "", "a path for the user's ARN, such as /machines/")
	cmd.Flags().String("boundary", "", "the policy that bounds what others may allow the user, as for --policy")
	return cmd
}

func (p *program) adminCreateUser(cmd *cobra.Command, name string) error {
	named, err := cmd.Flags().GetStringArray("policy")
	if err != nil {
		return err
	}
	wanted := platform.NewUser{Name: name}
	if wanted.Path, err = cmd.Flags().GetString("path"); err != nil {
		return err
	}
	if wanted.Boundary, err = cmd.Flags().GetString("boundary"); err != nil {
		return err
	}
	if wanted.Boundary != "" {
		if wanted.Boundary, err = policyARN(wanted.Boundary); err != nil {
			return err
		}
	}
	var policies []string
	for _, n := range named {
		arn, err := policyARN(n)
		if err != nil {
			return err
		}
		policies = append(policies, arn)
	}
	people, err := p.people(cmd)
	if err != nil {
		return err
	}
	made, err := people.CreateUser(cmd.Context(), wanted)
	if err != nil {
		return fmt.Errorf("making the user %s: %w", name, err)
	}
	for _, arn := range policies {
		if err := people.AttachPolicy(cmd.Context(), name, arn); err != nil {
			return hintedError{
				fmt.Errorf("the user %s is made, without the policy %s: %w", name, arn, err),
				"try again: " + p.name + " admin attach-policy " + quote(name) + " " + quote(arn),
			}
		}
	}
	u := newUser(made)
	u.Policies = policies
	return p.print(cmd, u, func(w io.Writer) error {
		p.hint("a key for it: " + p.name + " admin create-key " + quote(name))
		_, err := fmt.Fprintln(w, u.ARN)
		return err
	})
}

func (p *program) adminListUsersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list-users", Short: "List all users", Args: cobra.NoArgs,
		Example: "berth admin list-users\nberth admin list-users --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			people, err := p.people(cmd)
			if err != nil {
				return err
			}
			users, err := people.Users(cmd.Context())
			if err != nil {
				return fmt.Errorf("listing users: %w", err)
			}
			list := []user{}
			for _, u := range users {
				list = append(list, newUser(u))
			}
			return p.print(cmd, list, func(w io.Writer) error {
				if len(list) == 0 {
					p.say("there are no users")
					return nil
				}
				rows := [][]string{{"NAME", "CREATED", "ARN"}}
				for _, u := range list {
					rows = append(rows, []string{u.Name, u.Created.Format(time.RFC3339), u.ARN})
				}
				return writeTable(w, rows)
			})
		},
	}
}

func (p *program) adminDeleteUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete-user NAME",
		Short: "Delete a user",
		Long: "Delete-user deletes a user. IAM refuses that while the user has keys, policies or groups: --force takes\n" +
			"them first, keys before everything else.",
		Example: "berth admin delete-user ada\nberth admin delete-user ada --force",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			force, err := cmd.Flags().GetBool("force")
			if err != nil {
				return err
			}
			people, err := p.people(cmd)
			if err != nil {
				return err
			}
			var taken []string
			if force {
				taken, err = people.StripUser(cmd.Context(), args[0])
				for _, t := range taken {
					p.say("took %s", t)
				}
				if err != nil {
					return fmt.Errorf("deleting the user %s: %w", args[0], err)
				}
			}
			err = people.DeleteUser(cmd.Context(), args[0])
			if platform.Refused(err, "DeleteConflict") && !force {
				return hintedError{fmt.Errorf("deleting the user %s: %w", args[0], err), "to take keys and policies first: " + p.name + " admin delete-user " + quote(args[0]) + " --force"}
			}
			if err != nil {
				return fmt.Errorf("deleting the user %s: %w", args[0], err)
			}
			return p.printDone(cmd)
		},
	}
	cmd.Flags().Bool("force", false, "take the user's keys, policies and groups first")
	return cmd
}

// adminPolicyCommand makes a command that does something with a user and a policy.
func (p *program) adminPolicyCommand(name, about string, do policyCall) *cobra.Command {
	return &cobra.Command{
		Use: name + " USER POLICY", Short: about, Args: cobra.ExactArgs(2),
		Long:    about + ": " + policyUsage + ".",
		Example: "berth admin " + name + " ada push",
		RunE: func(cmd *cobra.Command, args []string) error {
			arn, err := policyARN(args[1])
			if err != nil {
				return err
			}
			people, err := p.people(cmd)
			if err != nil {
				return err
			}
			if err := do(people, cmd.Context(), args[0], arn); err != nil {
				return fmt.Errorf("%s of %s, %s: %w", name, args[0], arn, err)
			}
			return p.printDone(cmd)
		},
	}
}

// printDone is the output of what has nothing to say.
func (p *program) printDone(cmd *cobra.Command) error {
	return p.print(cmd, struct{}{}, func(io.Writer) error { return nil })
}

func (p *program) adminWhoAmICommand() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Say whose credentials are in use", Args: cobra.NoArgs,
		Example: "berth admin whoami\nberth admin whoami --url https://registry.example.com --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			people, err := p.people(cmd)
			if err != nil {
				return err
			}
			id, err := people.WhoAmI(cmd.Context())
			if err != nil {
				return fmt.Errorf("asking who this is: %w", err)
			}
			object := map[string]string{"account": id.Account, "arn": id.ARN, "userId": id.ID}
			return p.print(cmd, object, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, id.ARN)
				return err
			})
		},
	}
}
