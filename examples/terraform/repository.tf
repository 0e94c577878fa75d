resource "aws_ecr_repository" "prod" {
  name                 = var.repository
  image_tag_mutability = var.image_tag_mutability

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }

  tags = {
    environment = "prod"
  }
}

output "repository_url" {
  description = "What docker push and docker pull take, before the colon and the tag."
  value       = aws_ecr_repository.prod.repository_url
}
