package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// BenchmarkMay asks for one permission with 50 policies of 20 statements in play.
func BenchmarkMay(b *testing.B) {
	db := metadbtest.New(b)
	blobs, err := diskblob.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	directory := identity.NewDirectory(identity.Config{Store: db, Account: account, Now: time.Now})
	service := access.New(access.Config{Store: db.Access(), Directory: directory, Account: account, Region: "us-east-1", Now: time.Now})
	r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: time.Now, Access: service})
	if _, err := r.CreateRepository(b.Context(), root, registry.NewRepository{Name: repo}); err != nil {
		b.Fatal(err)
	}
	text := document(denies(`"Principal":"*","Action":"ecr:*","Condition":{"StringEquals":{"aws:ResourceTag/frozen":"yes"}}`))
	if err := r.SetRepositoryPolicy(b.Context(), root, repo, text, true); err != nil {
		b.Fatal(err)
	}
	err = db.Access().Update(b.Context(), func(tx access.Tx) error {
		p := access.Principal{ID: user.UserID, Kind: access.User, Name: "ci", Path: "/", ARN: user.ARN, CreatedAt: time.Now()}
		if err := tx.InsertPrincipal(b.Context(), p); err != nil {
			return err
		}
		for i := range 50 {
			var statements []string
			for j := range 20 {
				statements = append(statements, allows(fmt.Sprintf(`"Action":["ecr:BatchGetImage","ecr:Put*"],"Resource":"%s"`, r.ARN(fmt.Sprintf("team-%d/app-%d*", i, j)))))
			}
			if i == 49 {
				statements[19] = allows(`"Action":"ecr:BatchGetImage","Resource":"` + r.ARN(strings.Split(repo, "/")[0]) + `/*"`)
			}
			if err := tx.PutInlinePolicy(b.Context(), user.UserID, access.InlinePolicy{Name: fmt.Sprint("p", i), Document: document(statements...)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.May(b.Context(), user, policy.BatchGetImage, repo); err != nil {
			b.Fatal(err)
		}
	}
}
