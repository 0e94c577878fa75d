package platform

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// Simulation is a question: would this be allowed?
type Simulation struct {
	Principal string // ARN of a user, group or role; empty: only Policies count
	Actions   []string
	Resources []string       // ARNs, or *
	Policies  []string       // texts of identity policies, which count beside the principal's own
	Context   []ContextEntry // what a request would say
}

// ContextEntry is what a request would say for a condition key.
type ContextEntry struct {
	Key    string
	Type   string // one of IAM's names: string, stringList, boolean, ip, date, numeric …
	Values []string
}

// Allowed is the decision that lets a request through; IAM has two others, explicitDeny and implicitDeny.
const Allowed = string(types.PolicyEvaluationDecisionTypeAllowed)

// Decision is the answer for one action on one resource.
type Decision struct {
	Action, Resource string
	Decision         string // allowed, explicitDeny or implicitDeny
	Statements       []Statement
	Missing          []string // condition keys that the policies ask for and the simulation does not say
	// Bounded says that the principal's permissions boundary does not allow it.
	Bounded bool
}

// Statement is where in which policy something was said. Lines and columns count from 1; 0 is not known.
type Statement struct {
	Policy string // its name, or PolicyInputList.N for the Nth of Simulation.Policies
	Type   string // IAM's name of where the policy is from: user, role, aws-managed …
	Sid    string // its name, if it has one and the policy may be read
	Line   int
	Column int
}

// Simulate asks which of the actions would be allowed on which of the resources.
func (p *People) Simulate(ctx context.Context, s Simulation) ([]Decision, error) {
	entries := make([]types.ContextEntry, 0, len(s.Context))
	for _, e := range s.Context {
		entries = append(entries, types.ContextEntry{
			ContextKeyName: aws.String(e.Key), ContextKeyType: types.ContextKeyTypeEnum(e.Type), ContextKeyValues: e.Values,
		})
	}
	var results []types.EvaluationResult
	collect := func(page []types.EvaluationResult) { results = append(results, page...) }
	var err error
	if s.Principal == "" {
		err = p.simulateCustom(ctx, s, entries, collect)
	} else {
		err = p.simulatePrincipal(ctx, s, entries, collect)
	}
	if err != nil {
		return nil, Plain(err)
	}
	var decisions []Decision
	for _, r := range results {
		decisions = append(decisions, toDecisions(r)...)
	}
	p.nameStatements(ctx, s, decisions)
	return decisions, nil
}

func (p *People) simulatePrincipal(ctx context.Context, s Simulation, entries []types.ContextEntry, collect func([]types.EvaluationResult)) error {
	pages := iam.NewSimulatePrincipalPolicyPaginator(p.iam, &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: &s.Principal, ActionNames: s.Actions, ResourceArns: s.Resources, PolicyInputList: s.Policies, ContextEntries: entries,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		collect(page.EvaluationResults)
	}
	return nil
}

func (p *People) simulateCustom(ctx context.Context, s Simulation, entries []types.ContextEntry, collect func([]types.EvaluationResult)) error {
	pages := iam.NewSimulateCustomPolicyPaginator(p.iam, &iam.SimulateCustomPolicyInput{
		ActionNames: s.Actions, ResourceArns: s.Resources, PolicyInputList: s.Policies, ContextEntries: entries,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		collect(page.EvaluationResults)
	}
	return nil
}

// toDecisions reads an entry, which may answer for several resources.
func toDecisions(r types.EvaluationResult) []Decision {
	action := aws.ToString(r.EvalActionName)
	if len(r.ResourceSpecificResults) == 0 {
		return []Decision{{
			Action: action, Resource: aws.ToString(r.EvalResourceName), Decision: string(r.EvalDecision),
			Statements: toStatements(r.MatchedStatements), Missing: r.MissingContextValues, Bounded: isBounded(r.PermissionsBoundaryDecisionDetail),
		}}
	}
	var decisions []Decision
	for _, one := range r.ResourceSpecificResults {
		decisions = append(decisions, Decision{
			Action: action, Resource: aws.ToString(one.EvalResourceName), Decision: string(one.EvalResourceDecision),
			Statements: toStatements(one.MatchedStatements), Missing: one.MissingContextValues, Bounded: isBounded(one.PermissionsBoundaryDecisionDetail),
		})
	}
	return decisions
}

func isBounded(d *types.PermissionsBoundaryDecisionDetail) bool {
	return d != nil && !d.AllowedByPermissionsBoundary
}

func toStatements(matched []types.Statement) []Statement {
	var statements []Statement
	for _, m := range matched {
		s := Statement{Policy: aws.ToString(m.SourcePolicyId), Type: string(m.SourcePolicyType)}
		if m.StartPosition != nil {
			s.Line, s.Column = int(m.StartPosition.Line), int(m.StartPosition.Column)
		}
		statements = append(statements, s)
	}
	return statements
}

// PrincipalARN gives the ARN that a simulation knows a principal by. Besides an ARN, which may be that of a
// role's session, the name of a user will do, and user/NAME, role/NAME and group/NAME.
func (p *People) PrincipalARN(ctx context.Context, named string) (string, error) {
	if parts := strings.SplitN(named, ":", 6); parts[0] == "arn" && len(parts) == 6 {
		role, isSession := strings.CutPrefix(parts[5], "assumed-role/")
		if !isSession {
			return named, nil
		}
		role, _, _ = strings.Cut(role, "/")
		return p.roleARN(ctx, parts[1], parts[4], role)
	}
	id, err := p.WhoAmI(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the account: %w", err)
	}
	partition := partitionOf(id.ARN)
	kind, name, ok := strings.Cut(named, "/")
	switch {
	case !ok:
		return p.userARN(ctx, partition, id.Account, named)
	case kind == "role" && !strings.Contains(name, "/"):
		return p.roleARN(ctx, partition, id.Account, name)
	case kind == "user" && !strings.Contains(name, "/"):
		return p.userARN(ctx, partition, id.Account, name)
	default:
		return "arn:" + partition + ":iam::" + id.Account + ":" + named, nil
	}
}

// roleARN and userARN ask for the path, which a name does not say. Whoever may not ask gets the ARN of one
// without a path, which most are.
func (p *People) roleARN(ctx context.Context, partition, account, name string) (string, error) {
	out, err := p.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err == nil && out.Role != nil {
		return aws.ToString(out.Role.Arn), nil
	}
	return guessed(err, "arn:"+partition+":iam::"+account+":role/"+name)
}

func (p *People) userARN(ctx context.Context, partition, account, name string) (string, error) {
	out, err := p.iam.GetUser(ctx, &iam.GetUserInput{UserName: &name})
	if err == nil && out.User != nil {
		return aws.ToString(out.User.Arn), nil
	}
	return guessed(err, "arn:"+partition+":iam::"+account+":user/"+name)
}

func guessed(err error, arn string) (string, error) {
	err = Plain(err)
	if err == nil {
		return arn, nil // an answer without the principal
	}
	if _, denied := Denied(err); denied {
		return arn, nil
	}
	return "", fmt.Errorf("looking for the principal: %w", err)
}

// RepositoryARN gives the ARN of a repository of the caller's account and region by its name. What is an ARN
// or a pattern of everything already stays as it is.
func (p *People) RepositoryARN(ctx context.Context, named string) (string, error) {
	if named == "*" || strings.HasPrefix(named, "arn:") {
		return named, nil
	}
	id, err := p.WhoAmI(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the account: %w", err)
	}
	return "arn:" + partitionOf(id.ARN) + ":ecr:" + p.config.Region + ":" + id.Account + ":repository/" + named, nil
}

func partitionOf(arn string) string {
	if parts := strings.SplitN(arn, ":", 3); len(parts) == 3 && parts[1] != "" {
		return parts[1]
	}
	return "aws"
}
