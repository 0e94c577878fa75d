module example.com/monorepo/money

go 1.26.0
