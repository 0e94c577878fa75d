package policy

// What is asked of the audit log: CloudTrail's action for reading it, and one of Berth's own.
const (
	LookupEvents   Action = "cloudtrail:LookupEvents"
	VerifyAuditLog Action = "berth:VerifyAuditLog"
)
