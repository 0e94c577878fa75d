// Package cloudtrail is the one operation of AWS CloudTrail's API that auditors' tools ask: LookupEvents, over the registry's own log.
// docs/api/cloudtrail.md says how it differs from Amazon's.
package cloudtrail

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// Log is what is searched; *audit.Service is one.
type Log interface {
	Search(ctx context.Context, caller identity.Caller, q audit.Query) (audit.Page, error)
}

type face struct{ log Log }

// New makes the service.
func New(log Log) awswire.Service {
	operations := map[string]awswire.Operation{"LookupEvents": awswire.Op(face{log}.lookupEvents)}
	return awswire.Service{
		Name:         "cloudtrail",
		Protocol:     awswire.JSON11,
		TargetPrefix: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
		Operations:   operations,
		Known:        awswire.Others(others, operations),
		Members:      members(),
		Exceptions:   exceptionFor,
	}
}

// others are Amazon's operations on trails, event data stores and channels. There is one log here, and it is always on.
const others = `
	AddTags CancelQuery CreateChannel CreateDashboard CreateEventDataStore CreateTrail DeleteChannel DeleteDashboard DeleteEventDataStore
	DeleteResourcePolicy DeleteTrail DeregisterOrganizationDelegatedAdmin DescribeQuery DescribeTrails DisableFederation EnableFederation GenerateQuery
	GetChannel GetDashboard GetEventConfiguration GetEventDataStore GetEventSelectors GetImport GetInsightSelectors GetQueryResults GetResourcePolicy
	GetTrail GetTrailStatus ListChannels ListDashboards ListEventDataStores ListImportFailures ListImports ListInsightsData ListInsightsMetricData
	ListPublicKeys ListQueries ListTags ListTrails PutEventConfiguration PutEventSelectors PutInsightSelectors PutResourcePolicy
	RegisterOrganizationDelegatedAdmin RemoveTags RestoreEventDataStore SearchSampleQueries StartDashboardRefresh StartEventDataStoreIngestion
	StartImport StartLogging StartQuery StopEventDataStoreIngestion StopImport StopLogging UpdateChannel UpdateDashboard UpdateEventDataStore
	UpdateTrail`

// members spells the model's names, which are capitalised here and not in ECR.
func members() map[string]string {
	all := map[string]string{}
	for of, names := range map[string]string{
		"LookupEventsInput":  "EndTime EventCategory LookupAttributes MaxResults NextToken StartTime",
		"LookupEventsOutput": "Events NextToken",
		"LookupAttribute":    "AttributeKey AttributeValue",
		"Event":              "AccessKeyId CloudTrailEvent EventId EventName EventSource EventTime ReadOnly Resources Username",
		"Resource":           "ResourceName ResourceType",
	} {
		for name := range strings.FieldsSeq(names) {
			all[of+"."+name] = name
		}
	}
	return all
}

// maxResults is a page's size, normally and at most.
const maxResults = 50

const repositoryType = "AWS::ECR::Repository"

func (f face) lookupEvents(ctx context.Context, call awswire.Call, in *cloudtrail.LookupEventsInput) (*cloudtrail.LookupEventsOutput, error) {
	q := audit.Query{Since: aws.ToTime(in.StartTime), Until: aws.ToTime(in.EndTime), Limit: maxResults, After: aws.ToString(in.NextToken)}
	if !q.Until.IsZero() {
		q.Until = q.Until.Add(time.Second) // whole seconds, the last included
	}
	if n := in.MaxResults; n != nil {
		if *n < 1 || *n > maxResults {
			return nil, refuse("InvalidMaxResultsException", "MaxResults is "+strconv.Itoa(int(*n))+"; it must be from 1 to 50.")
		}
		q.Limit = int(*n)
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && q.Since.After(q.Until) {
		return nil, refuse("InvalidTimeRangeException", "StartTime is after EndTime.")
	}
	if in.EventCategory != "" {
		return nil, refuse("InvalidEventCategoryException", "This log has no insights: leave EventCategory out.")
	}
	none, err := attributes(&q, in.LookupAttributes)
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.LookupEventsOutput{Events: []types.Event{}}
	page, err := f.log.Search(ctx, call.Caller, q) // also for what nothing can match: the permission is asked
	if err != nil || none {
		return out, err
	}
	for i := range page.Records {
		out.Events = append(out.Events, event(&page.Records[i]))
	}
	if page.Next != "" {
		out.NextToken = &page.Next
	}
	return out, nil
}

// attributes reads by what is looked up; none tells that nothing here can be so.
func attributes(q *audit.Query, by []types.LookupAttribute) (none bool, err error) {
	if len(by) > 1 {
		return false, refuse("InvalidLookupAttributesException", "Events are looked up by one attribute, not by several; berth log searches by more.")
	}
	for _, a := range by {
		v := aws.ToString(a.AttributeValue)
		if v == "" || len(v) > 2000 {
			return false, refuse("InvalidLookupAttributesException", "The attribute's value must have 1 to 2000 characters.")
		}
		switch a.AttributeKey {
		case types.LookupAttributeKeyEventId:
			q.RequestID = v
		case types.LookupAttributeKeyEventName:
			q.Operation = v
		case types.LookupAttributeKeyReadOnly:
			yes := v == "true"
			if !yes && v != "false" {
				return false, refuse("InvalidLookupAttributesException", "ReadOnly is true or false.")
			}
			q.ReadOnly = &yes
		case types.LookupAttributeKeyUsername:
			q.Principal = v
		case types.LookupAttributeKeyResourceName:
			q.Repository = v
			if _, name, ok := strings.Cut(v, ":repository/"); ok && strings.HasPrefix(v, "arn:") {
				q.Repository = name
			}
		case types.LookupAttributeKeyResourceType:
			none = v != repositoryType
			q.OfRepositories = !none
		case types.LookupAttributeKeyEventSource:
			q.Source = v
		case types.LookupAttributeKeyAccessKeyId:
			q.AccessKeyID = v
		default:
			return false, refuse("InvalidLookupAttributesException", "AttributeKey is none of EventId, EventName, ReadOnly, Username, ResourceType, ResourceName, EventSource and AccessKeyId.")
		}
	}
	return none, nil
}

func event(r *audit.Record) types.Event {
	e := types.Event{
		EventId: &r.EventID, EventName: &r.Operation, EventSource: &r.Source, EventTime: &r.At, ReadOnly: aws.String(strconv.FormatBool(r.ReadOnly)),
		AccessKeyId: optional(r.AccessKeyID), Username: optional(r.UserName), CloudTrailEvent: aws.String(string(r.Line)), Resources: []types.Resource{},
	}
	if e.Username == nil && strings.HasSuffix(r.ARN, ":root") {
		e.Username = aws.String("root") // as Amazon's says
	}
	if r.Repository != "" {
		e.Resources = append(e.Resources, types.Resource{ResourceName: &r.Repository, ResourceType: aws.String(repositoryType)})
	}
	return e
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// refusal is an exception of this service's own.
type refusal struct{ code, message string }

func (r refusal) Error() string { return r.code + ": " + r.message }

func refuse(code, message string) error { return refusal{code, message} }

// exceptionFor is this API's table from faults to exceptions. A caller's mistakes that every AWS service shares are awswire's.
func exceptionFor(err error) (awswire.Exception, bool) {
	if r, ok := err.(refusal); ok { //nolint:errorlint // it is never wrapped
		return awswire.Exception{Code: r.code, Message: r.message}, true
	}
	if e, ok := awswire.JSON11.Exception(err); ok {
		return e, true
	}
	f, ok := fault.Of(err)
	if !ok {
		return awswire.Exception{}, false
	}
	code := "InvalidLookupAttributesException"
	if f.Code == fault.PageTokenInvalid {
		code = "InvalidNextTokenException"
	}
	return awswire.Exception{Code: code, Message: f.Message}, true
}
