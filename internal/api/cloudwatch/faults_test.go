package cloudwatch_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

func TestEveryFaultIsAnException(t *testing.T) {
	t.Parallel()
	service := cloudwatch.New(cloudwatch.Config{})
	others := []fault.Code{fault.PageTokenInvalid, fault.EntityNotFound, fault.EntityExists, fault.EntityInUse, fault.RepositoryNotFound, fault.ResourceTagInvalid, fault.TooManyResourceTags, fault.LayerDamaged}
	for _, code := range slices.Concat(fault.OfAny(), others) {
		err := fmt.Errorf("doing: %w", fault.Wrap(code, errors.New("secret cause"), "words"))
		e, ok := service.Exceptions(err)
		if !ok {
			e, ok = awswire.JSON10.Exception(err)
		}
		if !ok || e.Code == "" || e.Message != "words" {
			t.Errorf("fault %q becomes %+v, %v: add it to exceptions", code, e, ok)
		}
		server := code == fault.LayerDamaged || code == fault.StorageFull || code == fault.Unavailable
		if got := e.Status >= http.StatusInternalServerError; got != server {
			t.Errorf("fault %q becomes HTTP %d", code, e.Status)
		}
	}
	if e, ok := service.Exceptions(errors.New("disk on fire")); ok {
		t.Errorf("an error that is no fault became %+v", e)
	}
}

func TestEveryOperationIsDoneOrRefused(t *testing.T) {
	t.Parallel()
	service := cloudwatch.New(cloudwatch.Config{})
	seen := 0
	c := reflect.TypeFor[*cw.Client]()
	for m := range c.Methods() {
		if m.Type.NumIn() != 4 || m.Type.NumOut() != 2 {
			continue
		}
		seen++
		if _, done := service.Operations[m.Name]; done == slices.Contains(service.Known, m.Name) {
			t.Errorf("%s: done here %v, and known and not done %v", m.Name, done, !done)
		}
	}
	if want := len(service.Operations) + len(service.Known); seen != want || seen < 50 {
		t.Errorf("the SDK has %d operations, the service names %d", seen, want)
	}
}

// valid has a good input for each of the operations about metrics.
func valid() map[string]string {
	const times, one = `"StartTime":1795521600,"EndTime":1795525200`, `"Namespace":"Wetter","MetricName":"rain"`
	return map[string]string{
		"GetMetricData":       `{` + times + `,"MetricDataQueries":[{"Id":"a","MetricStat":{"Metric":{` + one + `},"Period":60,"Stat":"Sum"}}]}`,
		"GetMetricStatistics": `{` + times + `,` + one + `,"Period":60,"Statistics":["Sum"]}`,
		"ListMetrics":         `{}`,
		"PutMetricData":       `{"Namespace":"Wetter","MetricData":[{"MetricName":"rain","Value":1}]}`,
	}
}

// TestACallerAllowedNothingIsRefusedEverything calls each operation about metrics; those of alarms have a test of their own.
func TestACallerAllowedNothingIsRefusedEverything(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, operation := range slices.Sorted(maps.Keys(valid())) {
		if _, ok := s.service.Operations[operation]; !ok {
			t.Errorf("%s is no operation", operation)
		}
		if status, code, message := s.post(t, rootKey, operation, valid()[operation]); status != 200 {
			t.Errorf("%s is not a good input: %d %s %s", operation, status, code, message)
		}
		status, code, message := s.post(t, lowKey, operation, valid()[operation])
		if status != 400 || code != "AccessDenied" || !strings.Contains(message, "is not authorized to perform: cloudwatch:"+operation) {
			t.Errorf("%s by somebody who may do nothing: %d %s %s", operation, status, code, message)
		}
	}
}
