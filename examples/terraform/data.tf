# A password for docker. It is new each time, so no output may hold it.
data "aws_ecr_authorization_token" "docker" {}

output "proxy_endpoint" {
  description = "What docker login takes."
  value       = data.aws_ecr_authorization_token.docker.proxy_endpoint
}

# The image that a deployment names by digest, whatever its tag does later.
data "aws_ecr_image" "app" {
  count = var.image_tag == "" ? 0 : 1

  repository_name = aws_ecr_repository.prod.name
  image_tag       = var.image_tag
}

output "image" {
  description = "The image to deploy, or null where none was asked for."
  value       = one([for i in data.aws_ecr_image.app : "${aws_ecr_repository.prod.repository_url}@${i.image_digest}"])
}
