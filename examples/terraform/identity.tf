# GitHub Actions comes with tokens of its own: no long-lived key in CI.
resource "aws_iam_openid_connect_provider" "github" {
  url             = var.oidc_issuer
  client_id_list  = ["sts.amazonaws.com"]
  thumbprint_list = var.oidc_thumbprints
}

# The role that pushes. Only jobs of these branches, tags or environments may take it.
resource "aws_iam_role" "github_actions" {
  name                 = "hoopstat-haus-github-actions"
  description          = "Pushes images from GitHub Actions"
  assume_role_policy   = data.aws_iam_policy_document.github_trust.json
  max_session_duration = 3600
}

data "aws_iam_policy_document" "github_trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${trimprefix(var.oidc_issuer, "https://")}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "${trimprefix(var.oidc_issuer, "https://")}:sub"
      values   = var.oidc_subjects
    }
  }
}

resource "aws_iam_role_policy" "push" {
  name   = "push"
  role   = aws_iam_role.github_actions.id
  policy = data.aws_iam_policy_document.push.json
}

data "aws_iam_policy_document" "push" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "Push"

    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImageScanFindings",
      "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]

    resources = [aws_ecr_repository.prod.arn]
  }
}

# What runs the images may pull them, and nothing else. Its key is made apart, so that no state file holds the secret:
# berth admin create-key hoopstat-haus-puller
resource "aws_iam_user" "puller" {
  name = "hoopstat-haus-puller"
  path = "/machines/"
}

resource "aws_iam_policy" "pull" {
  name        = "hoopstat-haus-pull"
  description = "Pulls images of the one repository"
  policy      = data.aws_iam_policy_document.pull.json
}

data "aws_iam_policy_document" "pull" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "Pull"

    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]

    resources = [aws_ecr_repository.prod.arn]
  }
}

resource "aws_iam_user_policy_attachment" "puller" {
  user       = aws_iam_user.puller.name
  policy_arn = aws_iam_policy.pull.arn
}

output "push_role_arn" {
  description = "What the workflow names as role-to-assume."
  value       = aws_iam_role.github_actions.arn
}
