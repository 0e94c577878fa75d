package authn

// Remembered tells how many addresses a guard has in mind.
func Remembered(g *Guard) int { return len(g.addresses.young) + len(g.addresses.old) }
