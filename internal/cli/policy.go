package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Find out who may do what, and why",
		Example: "berth policy simulate --principal ada --action ecr:PutImage --resource hoopstat-haus/prod",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.policySimulateCommand())
	return cmd
}

func (p *program) policySimulateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Say whether a principal may do something, and which statement decides it",
		Long: "Simulate asks IAM what it would decide, for each action on each resource, and which statements it would\n" +
			"decide by. It asks a Berth, or Amazon's IAM with --url aws. The exit code is 3 if anything is denied.\n\n" +
			"With --policy the policies in these files count beside the principal's own; without --principal they are\n" +
			"all that counts, and nothing need be stored to try them.",
		Example: "berth policy simulate --principal ada --action ecr:PutImage --resource hoopstat-haus/prod\n" +
			"berth policy simulate --principal role/ci --action ecr:PutImage,ecr:BatchGetImage --resource hoopstat-haus/prod \\\n" +
			"    --context aws:SourceIp=192.0.2.7\n" +
			"berth policy simulate --policy push.json --action ecr:PutImage --resource hoopstat-haus/prod",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.policySimulate(cmd) },
	}
	cmd.Flags().String("principal", "", "whose permissions: a user's name, role/NAME, group/NAME, or an ARN")
	cmd.Flags().StringSlice("action", nil, "what is done, such as ecr:PutImage; several with commas, or repeated")
	cmd.Flags().StringSlice("resource", nil, "with what: a repository's name, or an ARN; if none, *")
	cmd.Flags().StringArray("context", nil, "what a request would say, key=value; a key given twice has two values")
	cmd.Flags().StringArray("policy", nil, "a file with an identity policy; may be repeated")
	addPeopleFlags(cmd)
	return cmd
}

// simulation reads the flags, but for names that the server has to complete. Files are where the policies are from.
func simulation(cmd *cobra.Command) (s platform.Simulation, files []string, err error) {
	flags := cmd.Flags()
	var contexts []string
	for _, f := range []struct {
		name string
		into *[]string
		get  func(string) ([]string, error)
	}{
		{"action", &s.Actions, flags.GetStringSlice},
		{"resource", &s.Resources, flags.GetStringSlice},
		{"context", &contexts, flags.GetStringArray},
		{"policy", &files, flags.GetStringArray},
	} {
		if *f.into, err = f.get(f.name); err != nil {
			return s, nil, err
		}
	}
	if s.Principal, err = flags.GetString("principal"); err != nil {
		return s, nil, err
	}
	switch {
	case len(s.Actions) == 0:
		return s, nil, usageError{errors.New("no action is named"), "give --action, such as ecr:PutImage"}
	case s.Principal == "" && len(files) == 0:
		return s, nil, usageError{errors.New("neither a principal nor a policy is named"), "give --principal or --policy"}
	}
	if s.Context, err = contextEntries(contexts); err != nil {
		return s, nil, err
	}
	if len(s.Resources) == 0 {
		s.Resources = []string{"*"}
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return s, nil, usageError{fmt.Errorf("--policy: %w", err), "give a file with a policy as IAM has it"}
		}
		s.Policies = append(s.Policies, string(text))
	}
	return s, files, nil
}

func (p *program) policySimulate(cmd *cobra.Command) error {
	s, files, err := simulation(cmd)
	if err != nil {
		return err
	}
	people, err := p.people(cmd)
	if err != nil {
		return err
	}
	if s.Principal != "" {
		if s.Principal, err = people.PrincipalARN(cmd.Context(), s.Principal); err != nil {
			return err
		}
	}
	for i, r := range s.Resources {
		if s.Resources[i], err = people.RepositoryARN(cmd.Context(), r); err != nil {
			return err
		}
	}
	answers, err := people.Simulate(cmd.Context(), s)
	if err != nil {
		return fmt.Errorf("simulating: %w", err)
	}
	list, denied := []decision{}, 0
	for _, a := range answers {
		if a.Decision != platform.Allowed {
			denied++
		}
		list = append(list, newDecision(a, files))
	}
	if err := p.print(cmd, list, func(w io.Writer) error { return writeDecisions(w, list) }); err != nil {
		return err
	}
	if denied > 0 {
		return foundError{fmt.Errorf("%d of %d denied", denied, len(list))}
	}
	return nil
}

// contextTypes are the types of condition keys that are no strings.
var contextTypes = map[string]string{
	"aws:sourceip": "ip", "aws:vpcsourceip": "ip", "aws:securetransport": "boolean", "aws:multifactorauthpresent": "boolean",
	"aws:viaawsservice": "boolean", "aws:principalisawsservice": "boolean", "aws:currenttime": "date", "aws:tokenissuetime": "date",
	"aws:epochtime": "numeric", "aws:multifactorauthage": "numeric", "aws:tagkeys": "stringList", "sts:transitivetagkeys": "stringList",
}

// contextEntries reads key=value; a key that is given twice has a list of values.
func contextEntries(given []string) ([]platform.ContextEntry, error) {
	var entries []platform.ContextEntry
	at := map[string]int{}
	for _, g := range given {
		key, value, ok := strings.Cut(g, "=")
		if !ok || key == "" {
			return nil, usageError{fmt.Errorf("--context: %q is not key=value", g), "write it like aws:SourceIp=192.0.2.7"}
		}
		folded := strings.ToLower(key) // IAM does not tell keys apart by case
		if i, again := at[folded]; again {
			e := &entries[i]
			e.Values = append(e.Values, value)
			if !strings.HasSuffix(e.Type, "List") {
				e.Type += "List"
			}
			continue
		}
		kind := contextTypes[folded]
		if kind == "" {
			kind = "string"
		}
		at[folded] = len(entries)
		entries = append(entries, platform.ContextEntry{Key: key, Type: kind, Values: []string{value}})
	}
	return entries, nil
}

// decision is an entry of the JSON output, which is a contract.
type decision struct {
	Action     string      `json:"action"`
	Resource   string      `json:"resource"`
	Decision   string      `json:"decision"`
	Statements []statement `json:"statements"`
	Missing    []string    `json:"missingContextKeys,omitempty"`
	Bounded    bool        `json:"deniedByPermissionsBoundary,omitempty"`
}

type statement struct {
	Policy string `json:"policy"`
	Type   string `json:"policyType,omitempty"`
	Sid    string `json:"sid,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func newDecision(a platform.Decision, files []string) decision {
	d := decision{Action: a.Action, Resource: a.Resource, Decision: a.Decision, Statements: []statement{}, Missing: a.Missing, Bounded: a.Bounded}
	for _, s := range a.Statements {
		one := statement{Policy: s.Policy, Type: s.Type, Sid: s.Sid, Line: s.Line, Column: s.Column}
		if n, ok := platform.Given(s.Policy); ok && n < len(files) {
			one.Policy = files[n]
		}
		d.Statements = append(d.Statements, one)
	}
	return d
}

func writeDecisions(w io.Writer, list []decision) error {
	rows := [][]string{{"ACTION", "RESOURCE", "DECISION", "BECAUSE"}}
	for _, d := range list {
		because := d.because()
		rows = append(rows, []string{d.Action, d.Resource, d.Decision, because[0]})
		for _, more := range because[1:] {
			rows = append(rows, []string{"", "", "", more})
		}
	}
	return writeTable(w, rows)
}

// because words the reasons, one at least.
func (d decision) because() []string {
	var reasons []string
	for _, s := range d.Statements {
		reason := s.Policy
		if s.Sid != "" {
			reason += ", " + s.Sid
		}
		if s.Line > 0 {
			reason += fmt.Sprintf(", line %d column %d", s.Line, s.Column)
		}
		reasons = append(reasons, reason)
	}
	if len(d.Statements) == 0 && d.Decision != platform.Allowed && !d.Bounded {
		reasons = append(reasons, "no statement allows it")
	}
	if d.Bounded {
		reasons = append(reasons, "the permissions boundary does not allow it")
	}
	if len(d.Missing) > 0 {
		reasons = append(reasons, "not said: "+strings.Join(d.Missing, ", "))
	}
	if len(reasons) == 0 {
		reasons = append(reasons, "")
	}
	return reasons
}
