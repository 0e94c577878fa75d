package deliver

// Sign is what webhook-signature says.
var Sign = (*Webhook).sign

// Compose is the text of a mail.
var Compose = (*Mail).compose
