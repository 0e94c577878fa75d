variable "repository" {
  description = "The repository that all images of the project are in."
  type        = string
  default     = "hoopstat-haus/prod"
}

variable "image_tag_mutability" {
  description = "MUTABLE, or IMMUTABLE to have a tag stay on the image that it was first set on."
  type        = string
  default     = "MUTABLE"
}

variable "keep_images" {
  description = "How many images with a tag that begins with v are kept."
  type        = number
  default     = 10
}

variable "image_tag" {
  description = "The tag of an image to look up. Empty looks none up: an image that is not there is an error."
  type        = string
  default     = ""
}

variable "upstream_registry" {
  description = "The registry whose images hub/<name> are."
  type        = string
  default     = "public.ecr.aws"
}

variable "replication_region" {
  description = "The region of the Berth that images are sent to, as the destinations in the sender's settings file name it."
  type        = string
  default     = "eu-west-1"
}

variable "replication_source" {
  description = "The account whose registry may send images to this one."
  type        = string
  default     = "210987654321"
}

variable "oidc_issuer" {
  description = "The OIDC provider whose tokens CI comes with."
  type        = string
  default     = "https://token.actions.githubusercontent.com"
}

variable "oidc_subjects" {
  description = "The sub of the tokens that may push. A repository made since 2026 has ids in it: repo:hoopstat@123456/haus@456789:ref:refs/heads/main."
  type        = list(string)
  default     = ["repo:hoopstat/hoopstat-haus:ref:refs/heads/main"]
}

variable "oidc_thumbprints" {
  description = "SHA-1 of the CA certificate of a provider that no public CA vouches for."
  type        = list(string)
  default     = []
}
