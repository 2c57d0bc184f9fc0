module steplane.example/acceptance

go 1.24.0

require github.com/steplane/steplane/sdk_go v0.0.0

replace github.com/steplane/steplane/sdk_go => ../../sdk_go
