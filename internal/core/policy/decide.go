package policy

// statement is a statement made ready.
type statement struct{}

// Compile makes a document ready to decide by.
func Compile(kind Kind, name string, d Document) *Policy {
	return &Policy{kind: kind, name: name}
}

// Decide answers the question.
func Decide(q Question) Decision { return Decision{Outcome: ImplicitDeny, Lacking: IdentityBased} }
