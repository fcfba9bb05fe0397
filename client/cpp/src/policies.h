// Whom to trust: each policy is one short function.
#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>

#include "arguments.h"

// The credentials of a channel. Throws Usage.
std::shared_ptr<grpc::ChannelCredentials> credentials(const Arguments& arguments);
