package ecr_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

func TestReplicationBackfills(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	digest := s.image(t, "one", "v1")
	to := destination("eu-west-1", account)
	start := func() (*awsecr.StartReplicationBackfillOutput, error) {
		return s.client.StartReplicationBackfill(t.Context(), &awsecr.StartReplicationBackfillInput{Destination: &to})
	}
	results := func(id string, change ...func(*awsecr.DescribeReplicationBackfillResultsInput)) (*awsecr.DescribeReplicationBackfillResultsOutput, error) {
		in := &awsecr.DescribeReplicationBackfillResultsInput{ReplicationBackfillId: &id}
		for _, c := range change {
			c(in)
		}
		return s.client.DescribeReplicationBackfillResults(t.Context(), in)
	}
	stop := func(id string) (*awsecr.StopReplicationBackfillOutput, error) {
		return s.client.StopReplicationBackfill(t.Context(), &awsecr.StopReplicationBackfillInput{ReplicationBackfillId: &id})
	}
	_, err := start()
	wantError(t, "a destination without a rule", err, "ValidationException", "is not a destination in the replication configuration")
	if _, err := s.putRules(t, types.ReplicationRule{Destinations: []types.ReplicationDestination{to}}); err != nil {
		t.Fatal(err)
	}
	started, err := start()
	if err != nil {
		t.Fatalf("StartReplicationBackfill: %v", err)
	}
	id := *started.ReplicationBackfillId
	if started.Status != types.ReplicationBackfillStatusPreparing || started.StartedAt == nil || *started.RegistryId != account || *started.Destination.Region != "eu-west-1" {
		t.Errorf("StartReplicationBackfill answers %+v", started)
	}
	_, err = start()
	wantError(t, "a second one", err, "ReplicationBackfillInProgressException", "eu-west-1")

	s.backfill(t)
	out, err := results(id)
	if err != nil || out.Status != types.ReplicationBackfillStatusInProgress || *out.Progress.TotalReplicationCount != 1 || out.EndedAt != nil || len(out.Results) != 0 {
		t.Errorf("DescribeReplicationBackfillResults under way: %+v, %v", out, err)
	}
	if _, err := s.replication.SendOnce(t.Context()); err != nil { // the destination refuses
		t.Fatal(err)
	}
	s.backfill(t)
	out, err = results(id, func(in *awsecr.DescribeReplicationBackfillResultsInput) {
		in.ResultStatusFilter = types.ReplicationBackfillResultStatusFailed
	})
	if err != nil || out.Status != types.ReplicationBackfillStatusComplete || out.EndedAt == nil || len(out.Results) != 1 || *out.Progress.FailedReplicationCount != 1 {
		t.Fatalf("DescribeReplicationBackfillResults at the end: %+v, %v", out, err)
	}
	if r := out.Results[0]; *r.ImageId.ImageDigest != digest || *r.ImageId.ImageTag != "v1" || *r.RepositoryName != repo || *r.FailureCode != "AccessDenied" || r.Status != types.ReplicationBackfillResultStatusFailed {
		t.Errorf("the result is %+v", r)
	}
	out, err = results(id, func(in *awsecr.DescribeReplicationBackfillResultsInput) {
		in.ResultStatusFilter = types.ReplicationBackfillResultStatusComplete
	})
	if err != nil || len(out.Results) != 0 {
		t.Errorf("complete results: %+v, %v", out, err)
	}
	_, err = stop(id)
	wantError(t, "stopping what is over", err, "ReplicationBackfillInvalidStatusException", "is COMPLETE")
	_, err = stop("none")
	wantError(t, "stopping nothing", err, "ReplicationBackfillNotFoundException", "'none'")
	_, err = results("none")
	wantError(t, "results of nothing", err, "ReplicationBackfillNotFoundException", "'none'")
	again, err := start()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := stop(*again.ReplicationBackfillId); err != nil || out.Status != types.ReplicationBackfillStatusStopped {
		t.Errorf("StopReplicationBackfill while it prepares: %+v, %v", out, err)
	}
	list, err := s.client.ListReplicationBackfills(t.Context(), &awsecr.ListReplicationBackfillsInput{MaxResults: aws.Int32(1)})
	if err != nil || len(list.Backfills) != 1 || list.NextToken == nil || *list.Backfills[0].ReplicationBackfillId != *again.ReplicationBackfillId || list.Backfills[0].Progress != nil {
		t.Fatalf("ListReplicationBackfills: %+v, %v", list, err)
	}
	list, err = s.client.ListReplicationBackfills(t.Context(), &awsecr.ListReplicationBackfillsInput{NextToken: list.NextToken})
	if err != nil || len(list.Backfills) != 1 || list.NextToken != nil || *list.Backfills[0].ReplicationBackfillId != id || *list.Backfills[0].Progress.FailedReplicationCount != 1 {
		t.Errorf("ListReplicationBackfills, second page: %+v, %v", list, err)
	}
	_, err = s.client.ListReplicationBackfills(t.Context(), &awsecr.ListReplicationBackfillsInput{MaxResults: aws.Int32(51)})
	wantError(t, "a page of 51", err, "InvalidParameterException", invalid("maxResults", "Member must have value less than or equal to 50"))
	_, err = s.client.ListReplicationBackfills(t.Context(), &awsecr.ListReplicationBackfillsInput{RegistryId: aws.String("999999999999")})
	wantError(t, "another account", err, "AccessDeniedException", "ecr:ListReplicationBackfills")
}

// backfill does what the job of backfills does.
func (s *server) backfill(t *testing.T) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.replication.BackfillOnce(t.Context()); err != nil {
			t.Fatalf("BackfillOnce: %v", err)
		}
	}
}
