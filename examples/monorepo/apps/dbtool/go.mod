module example.com/monorepo/dbtool

go 1.26.0

require example.com/monorepo/money v0.0.0
