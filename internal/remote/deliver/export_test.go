package deliver

// Sign is what webhook-signature says.
var Sign = (*Webhook).sign
