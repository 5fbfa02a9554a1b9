module flagsmith-frontend

go 1.21
