package policy

// Actions of the feed of events. They are Berth's own: Amazon's ECR gives its events to EventBridge, which has permissions of its own.
const (
	// ReadEvents is asked on a repository where a reader asks for the events of one, and otherwise on AnyResource. DescribeImages is asked
	// besides, for what each event is about.
	ReadEvents Action = "berth:ReadEvents"
	// DescribeEventReceivers shows how far the receivers of webhooks are.
	DescribeEventReceivers Action = "berth:DescribeEventReceivers"
)
