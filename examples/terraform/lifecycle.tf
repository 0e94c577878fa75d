resource "aws_ecr_lifecycle_policy" "prod" {
  repository = aws_ecr_repository.prod.name
  policy     = data.aws_ecr_lifecycle_policy_document.prod.json
}

data "aws_ecr_lifecycle_policy_document" "prod" {
  rule {
    priority    = 1
    description = "Keep the newest releases"

    selection {
      tag_status      = "tagged"
      tag_prefix_list = ["v"]
      count_type      = "imageCountMoreThan"
      count_number    = var.keep_images
    }

    action {
      type = "expire"
    }
  }

  rule {
    priority    = 2
    description = "Untagged images go after a day"

    selection {
      tag_status   = "untagged"
      count_type   = "sinceImagePushed"
      count_unit   = "days"
      count_number = 1
    }

    action {
      type = "expire"
    }
  }
}
