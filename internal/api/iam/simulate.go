package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// simulationOperations names what explains decisions.
func (f face) simulationOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"GetAccountAuthorizationDetails":   awswire.Op(f.getAccountAuthorizationDetails),
		"GetContextKeysForCustomPolicy":    awswire.Op(f.getContextKeysForCustomPolicy),
		"GetContextKeysForPrincipalPolicy": awswire.Op(f.getContextKeysForPrincipalPolicy),
		"SimulateCustomPolicy":             awswire.Op(f.simulateCustomPolicy),
		"SimulatePrincipalPolicy":          awswire.Op(f.simulatePrincipalPolicy),
	}
}

// simulatePrincipalPolicyInput is the SDK's, but for the exclusions: those are a union, an interface that no decoder can fill.
type simulatePrincipalPolicyInput struct {
	ActionNames, PermissionsBoundaryPolicyInputList, PolicyInputList, ResourceArns []string
	CallerArn, PolicySourceArn, ResourceHandlingOption, ResourceOwner              *string
	ResourcePolicy, Marker                                                         *string
	MaxItems                                                                       *int32
	ContextEntries                                                                 []types.ContextEntry
	PolicyExclusionList                                                            []excludedPolicy
}

// excludedPolicy is types.PolicyIdentifier as it is on the wire.
type excludedPolicy struct {
	PolicyArn, PolicyType  *string
	InlinePolicyIdentifier *types.InlinePolicyIdentifierType
}

func (f face) simulatePrincipalPolicy(ctx context.Context, c awswire.Call, in *simulatePrincipalPolicyInput) (*iam.SimulatePrincipalPolicyOutput, error) {
	sim := access.Simulation{
		Actions: in.ActionNames, Resources: in.ResourceArns, Policies: in.PolicyInputList, Boundary: in.PermissionsBoundaryPolicyInputList,
		ResourcePolicy: aws.ToString(in.ResourcePolicy), ResourceOwner: aws.ToString(in.ResourceOwner), CallerARN: aws.ToString(in.CallerArn),
	}
	if len(in.PolicyExclusionList) > 0 {
		return nil, fault.New(fault.SettingUnsupported, "PolicyExclusionList is not supported: simulate the remaining policies with SimulateCustomPolicy.")
	}
	var err error
	if sim.Context, err = readContext(in.ContextEntries, in.ResourceHandlingOption); err != nil {
		return nil, err
	}
	results, marker, err := f.access.SimulatePrincipalPolicy(ctx, c.Caller, aws.ToString(in.PolicySourceArn), sim, page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.SimulatePrincipalPolicyOutput{EvaluationResults: wireResults(results), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func (f face) simulateCustomPolicy(ctx context.Context, c awswire.Call, in *iam.SimulateCustomPolicyInput) (*iam.SimulateCustomPolicyOutput, error) {
	sim := access.Simulation{
		Actions: in.ActionNames, Resources: in.ResourceArns, Policies: in.PolicyInputList, Boundary: in.PermissionsBoundaryPolicyInputList,
		ResourcePolicy: aws.ToString(in.ResourcePolicy), ResourceOwner: aws.ToString(in.ResourceOwner), CallerARN: aws.ToString(in.CallerArn),
	}
	var err error
	if sim.Context, err = readContext(in.ContextEntries, in.ResourceHandlingOption); err != nil {
		return nil, err
	}
	results, marker, err := f.access.SimulateCustomPolicy(ctx, c.Caller, sim, page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.SimulateCustomPolicyOutput{EvaluationResults: wireResults(results), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

// readContext reads the condition keys' values. Their types say no more than how many there may be, since the policy's operator
// says how values are compared.
func readContext(entries []types.ContextEntry, handling *string) ([]access.ContextEntry, error) {
	if handling != nil {
		return nil, fault.New(fault.SettingUnsupported, "ResourceHandlingOption is about EC2's actions, which there are none of here.")
	}
	read := make([]access.ContextEntry, 0, len(entries))
	for _, e := range entries {
		if !slices.Contains(e.ContextKeyType.Values(), e.ContextKeyType) {
			return nil, badValue("contextKeyType", string(e.ContextKeyType), "[string, stringList, numeric, numericList, boolean, booleanList, ip, ipList, binary, binaryList, date, dateList]")
		}
		read = append(read, access.ContextEntry{
			Key: aws.ToString(e.ContextKeyName), List: strings.HasSuffix(string(e.ContextKeyType), "List"), Values: e.ContextKeyValues,
		})
	}
	return read, nil
}

// wireResults writes one result for each action and resource. Each names its resource once more, as AWS does.
func wireResults(results []access.Simulated) []types.EvaluationResult {
	wire := make([]types.EvaluationResult, 0, len(results))
	for _, r := range results {
		e := types.EvaluationResult{
			EvalActionName: aws.String(r.Action), EvalResourceName: aws.String(r.Resource), EvalDecision: decisionType(r.Outcome),
			MatchedStatements: wireMatched(r.Matched), MissingContextValues: some(r.MissingKeys),
		}
		specific := types.ResourceSpecificResult{
			EvalResourceName: e.EvalResourceName, EvalResourceDecision: e.EvalDecision, MatchedStatements: e.MatchedStatements,
			MissingContextValues: e.MissingContextValues,
		}
		if r.Bounded {
			e.PermissionsBoundaryDecisionDetail = &types.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: r.AllowedByBoundary}
			specific.PermissionsBoundaryDecisionDetail = e.PermissionsBoundaryDecisionDetail
		}
		e.ResourceSpecificResults = []types.ResourceSpecificResult{specific}
		wire = append(wire, e)
	}
	return wire
}

func decisionType(o policy.Outcome) types.PolicyEvaluationDecisionType {
	return types.PolicyEvaluationDecisionType(o) // the outcomes are in IAM's words
}

func wireMatched(matched []access.MatchedStatement) []types.Statement {
	wire := make([]types.Statement, 0, len(matched))
	for _, m := range matched {
		s := types.Statement{SourcePolicyId: aws.String(m.PolicyID), SourcePolicyType: types.PolicySourceType(m.Source)}
		if m.Span.Start.Line > 0 {
			s.StartPosition, s.EndPosition = wirePosition(m.Span.Start), wirePosition(m.Span.End)
		}
		wire = append(wire, s)
	}
	return wire
}

func wirePosition(p policy.Position) *types.Position {
	return &types.Position{Line: int32(p.Line), Column: int32(p.Column)} //nolint:gosec // documents are small
}

func (f face) getContextKeysForCustomPolicy(ctx context.Context, c awswire.Call, in *iam.GetContextKeysForCustomPolicyInput) (*iam.GetContextKeysForCustomPolicyOutput, error) {
	keys, err := f.access.ContextKeysOfPolicies(ctx, c.Caller, in.PolicyInputList)
	return &iam.GetContextKeysForCustomPolicyOutput{ContextKeyNames: some(keys)}, err
}

func (f face) getContextKeysForPrincipalPolicy(ctx context.Context, c awswire.Call, in *iam.GetContextKeysForPrincipalPolicyInput) (*iam.GetContextKeysForPrincipalPolicyOutput, error) {
	keys, err := f.access.ContextKeysOfPrincipal(ctx, c.Caller, aws.ToString(in.PolicySourceArn), in.PolicyInputList)
	return &iam.GetContextKeysForPrincipalPolicyOutput{ContextKeyNames: some(keys)}, err
}
