module example.com/monorepo/calculator

go 1.26.0

require example.com/monorepo/money v0.0.0

replace example.com/monorepo/money => ../../libs/money
