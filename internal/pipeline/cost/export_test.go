package cost

// Weigh is weigh.
var Weigh = weigh
